// Package orphan knows pods that were taken from their ReplicaSet, so that it makes
// a new one while the old one still serves. What is written on such a pod is enough
// to end this, so the next leader can, or the plugin.
package orphan

import (
	"context"
	"encoding/json"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

const (
	// Label is on every orphan. Its value is the UID of the Intercept that wants a
	// sidecar, or Leaving.
	Label = v1alpha1.Group + "/orphaned"
	// Annotation holds a Mark in JSON.
	Annotation = v1alpha1.Group + "/orphaned"
	// Leaving is the value of Label on a pod that is replaced because its sidecar is
	// no longer needed.
	Leaving = "leaving"
)

// Mark is what an orphan had, and how far its replacement is.
type Mark struct {
	// Labels were taken off the pod.
	Labels map[string]string `json:"labels"`
	At     metav1.Time       `json:"at"`
	// Owner is the ReplicaSet that had the pod.
	Owner *metav1.OwnerReference `json:"owner,omitempty"`
	// Drained is since when no Service selects the pod any more.
	Drained *metav1.Time `json:"drained,omitempty"`
}

// Read returns what is written on a pod; false when the pod is no orphan.
func Read(p *corev1.Pod) (Mark, bool) {
	var m Mark
	err := json.Unmarshal([]byte(p.Annotations[Annotation]), &m)
	return m, err == nil && len(m.Labels) > 0 && p.Labels[Label] != ""
}

// Evict evicts this very pod, and none that has its name later, as far as
// PodDisruptionBudgets allow.
func Evict(ctx context.Context, c client.Client, p *corev1.Pod, opts ...client.SubResourceCreateOption) error {
	return c.SubResource("eviction").Create(ctx, p, &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &p.UID}},
	}, opts...)
}

// Readopted is the pod as its ReplicaSet had it. The ReplicaSet adopts it again, and
// removes the pod that is then one too many: the one that is not ready.
func Readopted(p *corev1.Pod, m Mark) *corev1.Pod {
	fresh := p.DeepCopy()
	delete(fresh.Labels, Label)
	delete(fresh.Annotations, Annotation)
	maps.Copy(fresh.Labels, m.Labels)
	return fresh
}

// HasAdopter says that a ReplicaSet adopts a pod with these labels. A readopted pod
// without one would stay for ever.
func HasAdopter(ctx context.Context, r client.Reader, readopted *corev1.Pod) (bool, error) {
	var list appsv1.ReplicaSetList
	if err := r.List(ctx, &list, client.InNamespace(readopted.Namespace)); err != nil {
		return false, err
	}
	for _, rs := range list.Items {
		s, err := metav1.LabelSelectorAsSelector(rs.Spec.Selector)
		if err == nil && rs.DeletionTimestamp == nil && s.Matches(labels.Set(readopted.Labels)) {
			return true, nil
		}
	}
	return false, nil
}
