// Package release reads what is written on a pod whose ReplicaSet was made to
// let go of it: a new one is made while this one still serves. Who made it so
// may go before it is over, so that others have to be able to end it.
package release

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
	// Label is on such a pod. Its value is the UID of the Intercept that wants a
	// sidecar, or leaving.
	Label = v1alpha1.Group + "/released"
	// Annotation holds a Mark in JSON.
	Annotation = v1alpha1.Group + "/released"
)

// Mark is what to give back to a pod that was let go.
type Mark struct {
	Labels map[string]string `json:"labels"`
	At     metav1.Time       `json:"at"`
	// Owner is the ReplicaSet that had the pod.
	Owner *metav1.OwnerReference `json:"owner,omitempty"`
	// Drained is since when no Service leads to the pod any more.
	Drained *metav1.Time `json:"drained,omitempty"`
}

// Read returns what is written on a pod; false when it is not ours.
func Read(p *corev1.Pod) (Mark, bool) {
	var m Mark
	err := json.Unmarshal([]byte(p.Annotations[Annotation]), &m)
	return m, err == nil && len(m.Labels) > 0 && p.Labels[Label] != ""
}

// Evict asks for a pod to go, this very one, as far as PodDisruptionBudgets allow.
func Evict(ctx context.Context, c client.Client, p *corev1.Pod, opts ...client.SubResourceCreateOption) error {
	return c.SubResource("eviction").Create(ctx, p, &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &p.UID}},
	}, opts...)
}

// Restore is the pod as its ReplicaSet had it, which then removes the one too
// many: that which is not ready.
func Restore(p *corev1.Pod, m Mark) *corev1.Pod {
	fresh := p.DeepCopy()
	delete(fresh.Labels, Label)
	delete(fresh.Annotations, Annotation)
	maps.Copy(fresh.Labels, m.Labels)
	return fresh
}

// Wanted says that there is a ReplicaSet to take a restored pod. Without one it
// would stay for ever.
func Wanted(ctx context.Context, r client.Reader, restored *corev1.Pod) (bool, error) {
	var list appsv1.ReplicaSetList
	if err := r.List(ctx, &list, client.InNamespace(restored.Namespace)); err != nil {
		return false, err
	}
	for _, rs := range list.Items {
		s, err := metav1.LabelSelectorAsSelector(rs.Spec.Selector)
		if err == nil && rs.DeletionTimestamp == nil && s.Matches(labels.Set(restored.Labels)) {
			return true, nil
		}
	}
	return false, nil
}
