package controller

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// set writes a condition that speaks of the present generation.
func set(ic *v1alpha1.Intercept, kind string, s metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(&ic.Status.Conditions, metav1.Condition{Type: kind, Status: s, Reason: reason,
		Message: message, ObservedGeneration: ic.Generation})
}

// unresolved says that nothing can be done until somebody changes something.
func unresolved(ic *v1alpha1.Intercept, p *problem) {
	set(ic, v1alpha1.ConditionResolved, metav1.ConditionFalse, p.reason, p.message)
	set(ic, v1alpha1.ConditionAgentsReady, metav1.ConditionUnknown, v1alpha1.ReasonNotResolved, "")
	set(ic, v1alpha1.ConditionActive, metav1.ConditionFalse, v1alpha1.ReasonNotResolved, p.message)
	set(ic, v1alpha1.ConditionPodsReady, metav1.ConditionUnknown, v1alpha1.ReasonNotResolved, "")
	ic.Status.State, ic.Status.Message = v1alpha1.StateError, p.message
}

// judge sets AgentsReady, Active, PodsReady and the state in a word.
func judge(ic *v1alpha1.Intercept, s *v1alpha1.Session, a attached) {
	connected := meta.IsStatusConditionTrue(s.Status.Conditions, v1alpha1.ConditionConnected)
	state, message := v1alpha1.StateWaiting, ""
	switch {
	case a.problem != nil:
		message = a.problem.message
		set(ic, v1alpha1.ConditionAgentsReady, metav1.ConditionFalse, a.problem.reason, message)
		if v1alpha1.MeaningOf(a.problem.reason).Fails() {
			state = v1alpha1.StateError
		}
	case a.pods == 0:
		message = a.nobody
		set(ic, v1alpha1.ConditionAgentsReady, metav1.ConditionFalse, v1alpha1.ReasonNoPods, message)
	case a.serving < a.pods:
		message = fmt.Sprintf("attached to %d of %d pods", a.serving, a.pods)
		set(ic, v1alpha1.ConditionAgentsReady, metav1.ConditionFalse, v1alpha1.ReasonAttaching, message)
	case a.active < a.pods:
		message = fmt.Sprintf("verified in %d of %d pods", a.active, a.pods)
		set(ic, v1alpha1.ConditionAgentsReady, metav1.ConditionFalse, v1alpha1.ReasonVerifying, message)
	default:
		set(ic, v1alpha1.ConditionAgentsReady, metav1.ConditionTrue, v1alpha1.ReasonAttached,
			fmt.Sprintf("attached to %d of %d pods", a.pods, a.pods))
	}
	switch {
	case !connected:
		away := "the laptop is not connected; the application answers"
		set(ic, v1alpha1.ConditionActive, metav1.ConditionFalse, v1alpha1.ReasonDisconnected, away)
		if message == "" {
			state, message = v1alpha1.StateDisconnected, away
		}
	case a.active > 0:
		set(ic, v1alpha1.ConditionActive, metav1.ConditionTrue, v1alpha1.ReasonActive,
			fmt.Sprintf("%d of %d pods send their traffic to the laptop", a.active, a.pods))
		if message == "" { // a pod that is being replaced is not among those counted
			state = v1alpha1.StateActive
		}
	default:
		set(ic, v1alpha1.ConditionActive, metav1.ConditionFalse, v1alpha1.ReasonVerifying, message)
	}
	switch {
	case a.pods == 0 && a.problem != nil:
		set(ic, v1alpha1.ConditionPodsReady, metav1.ConditionUnknown, a.problem.reason, a.problem.message)
	case a.pods == 0:
		set(ic, v1alpha1.ConditionPodsReady, metav1.ConditionFalse, v1alpha1.ReasonNoPods, a.nobody)
	case a.unserved != "":
		set(ic, v1alpha1.ConditionPodsReady, metav1.ConditionFalse, v1alpha1.ReasonPodNotReady, a.unserved)
	default:
		set(ic, v1alpha1.ConditionPodsReady, metav1.ConditionTrue, v1alpha1.ReasonPodsReady, "")
	}
	if state == v1alpha1.StateActive {
		message = a.unserved
	}
	ic.Status.State, ic.Status.Message = state, message
}

// announce tells the workload's Events what has changed.
func (r *Intercepts) announce(ctx context.Context, old, ic *v1alpha1.Intercept) {
	if active(ic) && !active(old) {
		r.event(ctx, ic, corev1.EventTypeNormal, "Intercepted", "Intercept", "%s intercepts port %s: %s",
			ic.Spec.User, ic.Status.Port, meta.FindStatusCondition(ic.Status.Conditions, v1alpha1.ConditionActive).Message)
	}
	now := meta.FindStatusCondition(ic.Status.Conditions, v1alpha1.ConditionAgentsReady)
	before := meta.FindStatusCondition(old.Status.Conditions, v1alpha1.ConditionAgentsReady)
	if now == nil || before != nil && before.Reason == now.Reason {
		return
	}
	if v1alpha1.MeaningOf(now.Reason).Fails() {
		r.event(ctx, ic, corev1.EventTypeWarning, "AgentInjectionFailed", "Inject", "%s", now.Message)
	}
}

// event writes an Event on the workload. It is lost quietly if the workload
// is gone.
func (r *Intercepts) event(ctx context.Context, ic *v1alpha1.Intercept, kind, reason, action, format string, args ...any) {
	w, err := resolve.Get(ctx, r.Client, ic.Namespace, ic.Spec.Workload)
	if err != nil {
		return
	}
	r.Events.Eventf(workloadObject(w), nil, kind, reason, action, format, args...)
}

func workloadObject(w *resolve.Workload) runtime.Object {
	return &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: w.Ref.APIVersion, Kind: w.Ref.Kind},
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: w.Ref.Name, UID: types.UID(w.UID)},
	}
}
