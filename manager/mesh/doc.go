// Package mesh is what the traffic-manager does about a service mesh: it keeps
// agents' connections to it out of the mesh, by the mesh's own annotations, and
// leads numeric ports to sidecar agents by Istio's Sidecar objects, because an
// init container's redirect would come too late behind Istio's.
//
// Ephemeral agents need none of it: they capture what the mesh's proxy passes on
// within the pod, whichever mesh it is.
package mesh

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Kind is the mesh of the cluster, as trafficManager.serviceMesh.type says it.
type Kind string

// The meshes.
const (
	None    Kind = "none"
	Istio   Kind = "istio"
	Linkerd Kind = "linkerd"
)

const (
	istioInject   = "sidecar.istio.io/inject"
	istioRevision = "istio.io/rev"
	linkerdInject = "linkerd.io/inject"
)

// Of is the mesh that puts its proxy into a pod: by what the pod says, else by
// what its namespace says. namespace are the namespace's labels and annotations.
// A pod that may have one, because the cluster's mesh injects by default, does
// not count.
func Of(pod, namespace *metav1.ObjectMeta) Kind {
	switch value(pod.Annotations[linkerdInject], namespace.Annotations[linkerdInject]) {
	case "enabled", "ingress":
		return Linkerd
	}
	switch value(pod.Labels[istioInject], pod.Annotations[istioInject]) {
	case "true":
		return Istio
	case "false":
		return None
	}
	switch {
	case pod.Labels[istioRevision] != "", namespace.Labels[istioRevision] != "", namespace.Labels["istio-injection"] == "enabled":
		return Istio
	}
	return None
}

// Redirects reports whether Sidecar objects of Istio redirect callers to the agent of a pod:
// the cluster has that mesh, and the pod has its proxy.
func (k Kind) Redirects(pod, namespace *metav1.ObjectMeta) bool {
	return k == Istio && Of(pod, namespace) == Istio
}

// refuses says that a pod wants no proxy of the mesh.
func refuses(k Kind, pod *metav1.ObjectMeta) bool {
	if k == Linkerd {
		return value(pod.Annotations[linkerdInject]) == "disabled"
	}
	return value(pod.Labels[istioInject], pod.Annotations[istioInject]) == "false"
}

// value is the first that is set.
func value(list ...string) string {
	for _, s := range list {
		if s != "" {
			return strings.ToLower(strings.TrimSpace(s))
		}
	}
	return ""
}
