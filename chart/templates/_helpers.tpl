{{/* Name of the objects in the release's namespace. Fixed: the plugin looks for it. */}}
{{- define "traffic-manager.name" -}}
traffic-manager
{{- end }}

{{/* Name of cluster-wide objects: two releases in one cluster must not collide. */}}
{{- define "traffic-manager.clusterName" -}}
{{ .Release.Name }}-{{ .Release.Namespace }}
{{- end }}

{{/*
Name of the webhook. The API server asks webhooks in the order of their names, and
those of Istio and Linkerd have to see the annotations that ours adds.
*/}}
{{- define "traffic-manager.injectorName" -}}
agent-injector-{{ include "traffic-manager.clusterName" . }}
{{- end }}

{{- define "traffic-manager.serviceAccountName" -}}
{{ .Values.serviceAccount.name | default (include "traffic-manager.name" .) }}
{{- end }}

{{- define "traffic-manager.selectorLabels" -}}
app.kubernetes.io/name: {{ include "traffic-manager.name" . }}
{{- end }}

{{- define "traffic-manager.labels" -}}
{{ include "traffic-manager.selectorLabels" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: kubectl-intercept
{{- /* Whose a cluster-wide object is, also where no Helm release tells any more. */}}
kubectl-intercept.dev/manager-namespace: {{ .Release.Namespace | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Image reference: (dict "image" .Values.image "registry" "example.org" "root" $). */}}
{{- define "traffic-manager.image" -}}
{{- with .registry }}{{ . }}/{{ end }}{{ .image.name }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{/* Roles are bound to the manager's ServiceAccount by these lines. */}}
{{- define "traffic-manager.managerSubject" -}}
- kind: ServiceAccount
  name: {{ include "traffic-manager.serviceAccountName" . }}
  namespace: {{ .Release.Namespace | quote }}
{{- end }}

{{/* What the manager may do in a namespace whose workloads are intercepted. */}}
{{- define "traffic-manager.workloadRules" -}}
- apiGroups: [""]
  resources: [pods, services]
  verbs: [get, list, watch]
# Which namespace an address outside of the cluster belongs to.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
- apiGroups: [apps]
  resources: [daemonsets, deployments, replicasets, statefulsets]
  verbs: [get, list, watch]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch]
- apiGroups: [argoproj.io]
  resources: [rollouts]
  verbs: [get, list, watch]
# How pods that get a sidecar are replaced: their ReplicaSet lets go of them
# (patch) until the new ones are ready, then they go.
- apiGroups: [""]
  resources: [pods]
  verbs: [patch]
- apiGroups: [""]
  resources: [pods/eviction]
  verbs: [create]
# Why a pod could not be made.
- apiGroups: [""]
  resources: [events]
  verbs: [get, list]
{{- if and .Values.preview.enabled .Values.preview.services (not .Values.preview.hosts) }}
# For which hosts previews may enter the cluster.
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [list]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [list]
{{- end }}
{{- if eq .Values.trafficManager.serviceMesh.type "istio" }}
# How Istio leads numeric ports to sidecars.
- apiGroups: [networking.istio.io]
  resources: [sidecars]
  verbs: [create, delete, get, list, update]
{{- end }}
# How an agent enters a running pod.
- apiGroups: [""]
  resources: [pods/ephemeralcontainers]
  verbs: [patch, update]
- apiGroups: ["", events.k8s.io]
  resources: [events]
  verbs: [create, patch]
# "patch" is for its finalizer: the admission policy keeps it from the spec.
- apiGroups: [kubectl-intercept.dev]
  resources: [intercepts]
  verbs: [delete, get, list, patch, watch]
- apiGroups: [kubectl-intercept.dev]
  resources: [intercepts/status]
  verbs: [patch, update]
{{- end }}

{{/*
The license, from either spelling, as YAML: key is to go into a Secret that the
chart makes, secret is the name of that one or of the user's.
*/}}
{{- define "traffic-manager.license" -}}
{{- $old := .Values.licenseKey | default dict }}
{{- if eq (get $old "create" | toString) "false" }}
{{- $old = dict }}
{{- end }}
{{- $oldSecret := $old.secret | default dict }}
{{- $key := .Values.license.key | default $old.value | default "" }}
{{- if and (not .Values.license.key) (eq (get $oldSecret "create" | toString) "false") }}
{{- $key = "" }}
{{- end }}
{{- $secret := .Values.license.secret.name | default $oldSecret.name | default (ternary "traffic-manager-license" "" (ne $key "")) }}
{{- if and $old.create (not $secret) }}
{{- fail "licenseKey.create is set, and there is no license: give license.key, or license.secret.name" }}
{{- end }}
{{- if and .Values.license.required (not .Values.license.publicKey) }}
{{- fail "license.required needs license.publicKey: without it no license can be checked" }}
{{- end }}
{{- dict "key" $key "secret" $secret | toYaml }}
{{- end }}

{{/* One line for every value that files/warnings.yaml has a word about. */}}
{{- define "traffic-manager.warnings" -}}
{{- $lines := list }}
{{- range .Files.Get "files/warnings.yaml" | fromYamlArray }}
{{- $value := $.Values }}
{{- range splitList "." .path }}
{{- $value = ternary (get (ternary $value dict (kindIs "map" $value)) .) "" (kindIs "map" $value) }}
{{- end }}
{{- if and $value (ne (toString $value) (.unless | default "")) }}
{{- $lines = append $lines (print "Warning: " .message) }}
{{- end }}
{{- end }}
{{- uniq $lines | join "\n" }}
{{- end }}

{{/* Texts that nobody has a reason to send. An expression that matches one of them is not
about one caller: the policies take it for one that matches everything, or what every
browser sends. */}}
{{- define "traffic-manager.oddTexts" -}}
"['zqxj', 'xq7z', 'Xq7Z', '9837.41', 'x-zq.j', 'Zq7x/9.8; q=~', 'Bearer zq7x', 'Mozilla/5.0 (zq7x)', '00-zq7x-01']"
{{- end }}

{{- /*
A validation that refuses the question by which a session asks agents for values of headers:
they are what all others send. An old question is left alone: finalizers must come off.
*/}}
{{- define "traffic-manager.noValues" -}}
- expression: >-
    !has(object.metadata.annotations) || !('kubectl-intercept.dev/show-values' in object.metadata.annotations) ||
    request.operation == 'UPDATE' && has(oldObject.metadata.annotations) &&
    'kubectl-intercept.dev/show-values' in oldObject.metadata.annotations &&
    object.metadata.annotations['kubectl-intercept.dev/show-values'] == oldObject.metadata.annotations['kubectl-intercept.dev/show-values']
  reason: Forbidden
  message: >-
    values of other users' headers are not shown here ({{ .policy }} of the traffic-manager in namespace "{{ .namespace }}")
{{- end }}
