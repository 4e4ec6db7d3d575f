package intercept

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
)

// finalError is a condition that waiting does not change.
type finalError struct{ condition metav1.Condition }

func (e *finalError) Error() string { return e.condition.Message }

// stateOf says what an intercept is waiting for, whether it works, or why it never will.
func stateOf(i *v1alpha1.Intercept, pods int) (step string, done bool, err error) {
	if i.DeletionTimestamp != nil {
		return "", false, errGone
	}
	if i.Status.ObservedGeneration != i.Generation {
		return "", false, nil
	}
	resolved := meta.FindStatusCondition(i.Status.Conditions, v1alpha1.ConditionResolved)
	agents := meta.FindStatusCondition(i.Status.Conditions, v1alpha1.ConditionAgentsReady)
	active := meta.FindStatusCondition(i.Status.Conditions, v1alpha1.ConditionActive)
	switch {
	case final(resolved):
		return "", false, &finalError{*resolved}
	case final(agents):
		return "", false, &finalError{*agents}
	case isTrue(agents) && isTrue(active):
		return standsIn(i)
	case !isTrue(resolved):
		return "", false, nil
	case isTrue(agents) && active != nil && active.Reason == v1alpha1.ReasonDisconnected:
		return "waiting for the connection of this machine", false, nil
	case isTrue(agents) || agents != nil && agents.Reason == v1alpha1.ReasonVerifying:
		return "verifying", false, nil
	case agents != nil && (i.Spec.Mode == v1alpha1.ModeIngest || i.Spec.Mode == v1alpha1.ModeReplace) && agents.Message != "":
		return agents.Message, false, nil
	case agents != nil && (agents.Reason == v1alpha1.ReasonNoPods || agents.Reason == v1alpha1.ReasonAgentFailed || agents.Reason == v1alpha1.ReasonReplacing ||
		agents.Reason == v1alpha1.ReasonDisruptionBudget):
		return agents.Message, false, nil
	}
	return "attaching to " + render.Count(int64(max(pods, len(i.Status.Pods))), "pod"), false, nil
}

// standsIn says what an intercept is waiting for that has its traffic: the pod that this
// machine stands in for, if it is to do so.
func standsIn(i *v1alpha1.Intercept) (step string, done bool, err error) {
	switch s := i.Status.StandIn; {
	case i.Spec.StandIn == nil:
		return "", true, nil
	case s == nil || s.ObservedGeneration != i.Generation:
		return "", false, nil
	case v1alpha1.MeaningOf(s.Reason) == v1alpha1.MeansFinal:
		return "", false, &finalError{metav1.Condition{Reason: s.Reason, Message: s.Message}}
	default:
		return s.Message, s.Reason == "", nil
	}
}

// final says whether a condition is false for a reason that waiting does not change.
func final(c *metav1.Condition) bool {
	return c != nil && c.Status == metav1.ConditionFalse && v1alpha1.MeaningOf(c.Reason) == v1alpha1.MeansFinal
}

func isTrue(c *metav1.Condition) bool { return c != nil && c.Status == metav1.ConditionTrue }
