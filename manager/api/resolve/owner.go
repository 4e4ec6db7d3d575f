package resolve

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/orphan"
)

// owner is a controller that makes the workload's pods.
type owner struct {
	uid types.UID
	// adopts selects the pods of nobody that it takes; nil when it takes none.
	adopts labels.Selector
}

// hashLabels are on pods of a Deployment or a Rollout. Their value ends the name
// of the ReplicaSet that made the pod.
func hashLabels() []string { return []string{appsv1.DefaultDeploymentUniqueLabelKey, revisionLabel} }

// byReplicaSets says that pods belong to the workload through ReplicaSets.
func (w *Workload) byReplicaSets() bool { return w.Ref.Kind == "Deployment" || w.Ref.Kind == "Rollout" }

// Learn takes in which ReplicaSets are the workload's, of all those given. Until
// it has, a Deployment or Rollout goes by the names that such ReplicaSets have.
func (w *Workload) Learn(all []appsv1.ReplicaSet) {
	if !w.byReplicaSets() {
		return
	}
	w.owners = []owner{}
	for i := range all {
		rs := &all[i]
		above := metav1.GetControllerOf(rs)
		if rs.Namespace == w.Namespace && above != nil && above.UID == w.UID {
			w.owners = append(w.owners, replicaSet(rs))
		}
	}
}

// replicaSet is a ReplicaSet as an owner. It adopts pods without a controller that
// its selector matches; for other kinds labels do not tell.
func replicaSet(rs *appsv1.ReplicaSet) owner {
	s, err := metav1.LabelSelectorAsSelector(rs.Spec.Selector)
	if err != nil || s.Empty() {
		s = nil
	}
	return owner{uid: rs.UID, adopts: s}
}

// TrimReplicaSet drops what nobody reads of ReplicaSets in a cache: the templates of
// old revisions, of which a cluster has many.
func TrimReplicaSet(o any) (any, error) {
	rs, ok := o.(*appsv1.ReplicaSet)
	if !ok {
		return o, nil
	}
	rs.ManagedFields = nil
	if metav1.GetControllerOf(rs) != nil && rs.Spec.Replicas != nil && *rs.Spec.Replicas == 0 {
		rs.Spec.Template.Spec, rs.Spec.Template.Annotations = corev1.PodSpec{}, nil
	}
	return rs, nil
}

// Matches says whether a pod of the workload's namespace belongs to it. A
// Service has the pods that it selects; all others have those that they own
// themselves or through their ReplicaSets, and their orphans that still wait for
// their successor. Labels do not make a pod
// a workload's: others may share them.
func (w *Workload) Matches(p *corev1.Pod) bool {
	switch {
	case w.names != nil:
		return w.names.Has(p.Name)
	case w.Ref.Kind == "Service":
		return w.selector != nil && w.Selects(p.Labels)
	}
	by, drained := controllerOf(p)
	if drained {
		return false
	}
	if by == nil {
		return slices.ContainsFunc(w.owners, func(o owner) bool { return o.adopts != nil && o.adopts.Matches(labels.Set(p.Labels)) })
	}
	if w.owners == nil {
		return by.Kind == "ReplicaSet" && slices.ContainsFunc(hashLabels(), func(key string) bool {
			return p.Labels[key] != "" && by.Name == w.Ref.Name+"-"+p.Labels[key]
		})
	}
	return slices.ContainsFunc(w.owners, func(o owner) bool { return o.uid == by.UID })
}

// controllerOf is the controller of a pod, or the one that an orphan had; drained
// says that the orphan's successor is there.
func controllerOf(p *corev1.Pod) (by *metav1.OwnerReference, drained bool) {
	m, orphaned := orphan.Read(p)
	if by = metav1.GetControllerOf(p); by == nil && orphaned {
		by = m.Owner
	}
	return by, orphaned && m.Drained != nil
}

// Selects says whether the workload's selector takes a pod with these labels. It
// may be another's pod all the same.
func (w *Workload) Selects(pod map[string]string) bool {
	return w.selector == nil || w.selector.Matches(labels.Set(pod))
}
