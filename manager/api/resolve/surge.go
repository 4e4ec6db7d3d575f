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

// more says that a number or a share is not zero; that is the default too.
func more(n *intstr.IntOrString) bool {
	if n == nil {
		return true
	}
	up, err := intstr.GetScaledValueFromIntOrPercent(n, 100, true)
	return err != nil || up > 0
}
