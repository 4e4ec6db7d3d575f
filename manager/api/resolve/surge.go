package resolve

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// surges says whether a Deployment may have a pod more than it wants. A pod that
// has a port of its node for itself, say, cannot be two there.
func surges(s *appsv1.DeploymentStrategy) bool {
	if s.Type == appsv1.RecreateDeploymentStrategyType {
		return false
	}
	return s.RollingUpdate == nil || more(s.RollingUpdate.MaxSurge)
}

// rolloutSurges is surges for an Argo Rollout, which knows of it for canaries.
func rolloutSurges(u *unstructured.Unstructured) bool {
	v, ok, err := unstructured.NestedFieldNoCopy(u.Object, "spec", "strategy", "canary", "maxSurge")
	if !ok || err != nil {
		return true
	}
	n := intstr.Parse(fmt.Sprint(v))
	return more(&n)
}

// daemonSurges says whether a DaemonSet has its new pod on a node before the old one
// goes. It has the old one go first where maxSurge is not set.
func daemonSurges(s *appsv1.DaemonSetUpdateStrategy) bool {
	return s.Type != appsv1.OnDeleteDaemonSetStrategyType && s.RollingUpdate != nil &&
		s.RollingUpdate.MaxSurge != nil && more(s.RollingUpdate.MaxSurge)
}

// ByHand says what is waited for, and what to type, where one of the workload's pods is
// to be replaced and only people may delete it. It is empty where the pod may be evicted.
func (w *Workload) ByHand(pod string) string {
	if !w.OnDelete {
		return ""
	}
	return fmt.Sprintf("waiting until you delete the pods of %s, whose updateStrategy is OnDelete: kubectl delete pod %s -n %s", w, pod, w.Namespace)
}

// Interruption is what the eviction of one of its pods costs callers although the
// workload's strategy says otherwise, as half a sentence; empty where that is
// nothing. A DaemonSet surges only when its template changes.
func (w *Workload) Interruption() string {
	if w.Ref.Kind != "DaemonSet" || !w.Surges {
		return ""
	}
	return "its node has none until the new one is ready, as maxSurge of " + w.String() + " counts only when its template changes"
}

// more says that a number or a share is not zero; that is the default too.
func more(n *intstr.IntOrString) bool {
	if n == nil {
		return true
	}
	up, err := intstr.GetScaledValueFromIntOrPercent(n, 100, true)
	return err != nil || up > 0
}
