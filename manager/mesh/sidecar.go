package mesh

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

const (
	// PodLabel is on pods whose numeric ports are led to a sidecar agent by a
	// Sidecar object; its value is PodLabelValue. Others of the workload have
	// nobody at the agent's port, so the object must not select them.
	PodLabel      = v1alpha1.Group + "/mesh-redirect"
	PodLabelValue = "true"

	// createdByLabel says that an object is ours, managerLabel whose of us.
	createdByLabel = "app.kubernetes.io/created-by"
	createdBy      = "traffic-manager"
	managerLabel   = v1alpha1.Group + "/manager"
	workloadLabel  = v1alpha1.Group + "/workload"

	namePrefix = "intercept-"
)

// kind is Istio's Sidecar; its versions have the same shape.
func kind() schema.GroupKind { return schema.GroupKind{Group: "networking.istio.io", Kind: "Sidecar"} }

// versions are those of Sidecar, the one to take first.
func versions() []string { return []string{"v1", "v1beta1", "v1alpha3"} }

// Port is a port of the application and the agent's port for it.
type Port struct{ Number, Agent uint16 }

// Redirect is what a Sidecar object is to do: lead ports of a workload's pods to
// the agents in them.
type Redirect struct {
	Namespace string
	// Workload is its name, Labels are those of its pods, Selector those by
	// which it finds them.
	Workload         string
	Labels, Selector map[string]string
	Ports            []Port
	// Intercepts are what wants it. The object ends with the last of them.
	Intercepts []*v1alpha1.Intercept
}

// SidecarName is the name of the object for a workload.
func SidecarName(workload string) string { return fit(namePrefix+workload, 253) }

// fit shortens what is too long, and keeps it apart from what begins alike.
func fit(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(s)))[:10]
	return strings.TrimRight(s[:limit-len(sum)-1], "-.") + "-" + sum
}

// Sidecar is the object, in a version that the cluster serves. Manager is the
// namespace of the traffic-manager.
func (r Redirect) Sidecar(version, manager string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(kind().WithVersion(version))
	u.SetNamespace(r.Namespace)
	u.SetName(SidecarName(r.Workload))
	u.SetLabels(map[string]string{
		createdByLabel: createdBy, managerLabel: manager,
		"app.kubernetes.io/name": fit(namePrefix+r.Workload, 63), workloadLabel: fit(r.Workload, 63),
	})
	var owners []metav1.OwnerReference
	for _, ic := range r.Intercepts {
		owners = append(owners, metav1.OwnerReference{
			APIVersion: v1alpha1.GroupVersion().String(), Kind: "Intercept", Name: ic.Name, UID: ic.UID,
		})
	}
	slices.SortFunc(owners, func(a, b metav1.OwnerReference) int { return cmp.Compare(a.UID, b.UID) })
	u.SetOwnerReferences(owners)
	selector := map[string]any{PodLabel: PodLabelValue}
	for k, v := range r.Selector {
		selector[k] = v
	}
	var ingress []any
	for _, p := range slices.SortedFunc(slices.Values(r.Ports), func(a, b Port) int { return cmp.Compare(a.Number, b.Number) }) {
		ingress = append(ingress, map[string]any{
			"defaultEndpoint": fmt.Sprintf("127.0.0.1:%d", p.Agent),
			"port":            map[string]any{"name": fmt.Sprintf("tcp-%d", p.Number), "number": int64(p.Number), "protocol": "TCP"},
		})
	}
	u.Object["spec"] = map[string]any{
		"ingress":          ingress,
		"workloadSelector": map[string]any{"labels": selector},
	}
	return u
}

// ConflictError is that somebody else's Sidecar selects the workload: Istio does
// not say which of two it would follow.
type ConflictError struct{ Sidecar, Workload string }

// Error is for the user, with the way out.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("existing sidecar %s conflicts with new sidecar for workload %s: "+
		"name the port in the pod template and use the name as the targetPort of its Service, then none is needed", e.Sidecar, e.Workload)
}

// Conflict finds a Sidecar among those of the namespace, other than r's own, that
// selects r's pods. One without a selector is the namespace's default, beside
// which Istio follows ours.
func (r Redirect) Conflict(existing []unstructured.Unstructured, manager string) error {
	labels := maps.Clone(r.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[PodLabel] = PodLabelValue
	for i := range existing {
		u := &existing[i]
		if u.GetName() == SidecarName(r.Workload) {
			if ours(u, manager) {
				continue
			}
			return &ConflictError{u.GetName(), r.Workload} // the name is taken
		}
		selector, _, _ := unstructured.NestedStringMap(u.Object, "spec", "workloadSelector", "labels")
		if len(selector) > 0 && within(selector, labels) {
			return &ConflictError{u.GetName(), r.Workload}
		}
	}
	return nil
}

// ours says that the traffic-manager of a namespace has made the object.
func ours(u *unstructured.Unstructured, manager string) bool {
	l := u.GetLabels()
	return l[createdByLabel] == createdBy && l[managerLabel] == manager
}

func within(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return true
}
