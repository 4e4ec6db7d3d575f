package redact

import (
	"testing"

	"sigs.k8s.io/yaml"
)

// TestObject shows what of an object stays.
func TestObject(t *testing.T) {
	const before = `
metadata:
  name: quote-1
  managedFields: [{manager: x}]
  annotations:
    example.com/note: PLANTED
    kubectl.kubernetes.io/last-applied-configuration: '{"PLANTED":1}'
    kubectl-intercept.dev/agent: ephemeral
spec:
  serviceAccountName: app
  imagePullSecrets: [{name: registry}]
  containers:
  - name: app
    image: quote
    command: [app]
    args: [--license, PLANTED]
    env:
    - {name: MODE, value: PLANTED}
    - {name: PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}
    envFrom: [{secretRef: {name: more}}]
    readinessProbe: {httpGet: {path: /ready, httpHeaders: [{name: X-Probe, value: PLANTED}]}}
    livenessProbe: {exec: {command: [check, PLANTED]}}
  ephemeralContainers:
  - name: traffic-agent-2
    args: [run, --log-level=debug]
    env: [{name: TOKEN, value: PLANTED}]
  volumes:
  - {name: tls, secret: {secretName: quote-tls}}
  - {name: disk, csi: {driver: x, volumeAttributes: {key: PLANTED}}}
  match: {headers: [{name: x-user, regexp: PLANTED}], paths: [{prefix: /api}]}
  preview: {host: x, passwordHash: PLANTED}
  tokenHash: PLANTED
status:
  message: 'no request meets header("x-user") ~= regexp("PLANTED")'
  podIP: 10.1.2.3
data: {a: PLANTED}
`
	const after = `
metadata:
  name: quote-1
  annotations:
    example.com/note: <redacted>
    kubectl.kubernetes.io/last-applied-configuration: <redacted>
    kubectl-intercept.dev/agent: ephemeral
spec:
  serviceAccountName: app
  imagePullSecrets: [{name: registry}]
  containers:
  - name: app
    image: quote
    command: <redacted>
    args: <redacted>
    env:
    - {name: MODE, value: <redacted>}
    - {name: PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}
    envFrom: [{secretRef: {name: more}}]
    readinessProbe: {httpGet: {path: /ready, httpHeaders: [{name: X-Probe, value: <redacted>}]}}
    livenessProbe: {exec: {command: <redacted>}}
  ephemeralContainers:
  - name: traffic-agent-2
    args: [run, --log-level=debug]
    env: [{name: TOKEN, value: <redacted>}]
  volumes:
  - {name: tls, secret: {secretName: quote-tls}}
  - {name: disk, csi: {driver: x, volumeAttributes: {key: <redacted>}}}
  match: {headers: [{name: x-user, regexp: <redacted>}], paths: [{prefix: /api}]}
  preview: {host: x, passwordHash: <redacted>}
  tokenHash: <redacted>
status:
  message: 'no request meets header("x-user") ~= regexp("<redacted>")'
  podIP: 10.1.2.3
data: {a: <redacted>}
`
	var o, want any
	for text, v := range map[string]*any{before: &o, after: &want} {
		if err := yaml.Unmarshal([]byte(text), v); err != nil {
			t.Fatal(err)
		}
	}
	got, err := yaml.Marshal(Object(o))
	if err != nil {
		t.Fatal(err)
	}
	expected, err := yaml.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(expected) {
		t.Errorf("got\n%s\nwant\n%s", got, expected)
	}
}

func TestValues(t *testing.T) {
	var v Values
	v.Add("hunter22", "hunter22-long", "short", "")
	if got := v.Replace("hunter22-long, hunter22 and short"); got != Mark+", "+Mark+" and short" {
		t.Error(got)
	}
}

func TestNames(t *testing.T) {
	var n Names
	if got := n.Replace("nothing is known"); got != "nothing is known" {
		t.Error(got)
	}
	n.Add("namespace", "shop")
	n.Add("namespace", "default")
	n.Add("namespace", "blog")
	n.Add("namespace", "shop")
	n.Add("pod", "quote-7f9c-abcde")
	n.Add("pod", "pod-1") // a name that is made up, too
	n.Add("user", "alice@example.com", "alice-example-com", "alice")
	n.Add("host", "alice-laptop")
	n.Add("user", "zoë")
	n.Add("host", "a")
	for text, want := range map[string]string{
		"namespaces shop, blog and default":           "namespaces namespace-1, namespace-2 and default",
		"shopping in shop/quote":                      "shopping in namespace-1/quote",
		"Shop.svc":                                    "namespace-1.svc",
		"pod-1 and quote-7f9c-abcde":                  "pod-2 and pod-1",
		"alice@example.com, alice, alice-example-com": "user-1, user-1, user-1",
		"/home/alice/.cache on alice-laptop":          "/home/user-1/.cache on host-1",
		"alice-laptop-demo":                           "host-1-demo",
		"alices":                                      "alices",
		"by zoë at noon":                              "by user-2 at noon",
		"a word":                                      "a word",
	} {
		if got := n.Replace(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
