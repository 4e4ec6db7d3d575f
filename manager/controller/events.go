package controller

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// announce writes an Event on the workload about what has changed.
func (r *Intercepts) announce(ctx context.Context, old, ic *v1alpha1.Intercept) {
	if active(ic) && !active(old) {
		did := "began"
		if old.Status.State == v1alpha1.StateDisconnected {
			did = "resumed"
		}
		r.event(ctx, ic, corev1.EventTypeNormal, "Intercepted", "Intercept", "%s %s intercept %s: %s",
			ic.Spec.User, did, which(ic), meta.FindStatusCondition(ic.Status.Conditions, v1alpha1.ConditionActive).Message)
	}
	overlap := meta.FindStatusCondition(ic.Status.Conditions, v1alpha1.ConditionOverlap)
	if overlap != nil && meta.FindStatusCondition(old.Status.Conditions, v1alpha1.ConditionOverlap) == nil {
		r.event(ctx, ic, corev1.EventTypeNormal, "InterceptsOverlap", "Intercept", "intercept %s of %s: %s", ic.Name, ic.Spec.User, overlap.Message)
	}
	if unmatched(ic) && !unmatched(old) {
		does := "takes"
		if ic.Spec.Mode == v1alpha1.ModeMirror {
			does = "copies"
		}
		r.event(ctx, ic, corev1.EventTypeWarning, v1alpha1.ReasonNoRequest, "Intercept", "intercept %s of %s %s no requests: %s",
			ic.Name, ic.Spec.User, does, unmet(ic.Spec.Match.Conditions(), ic.Status.Matching, ic.Status.Matching.Requests))
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

// ended writes an Event on the workload that an intercept is over. Who deleted it is in the API
// server's audit log alone.
func (r *Intercepts) ended(ctx context.Context, ic *v1alpha1.Intercept) {
	why := "it was deleted"
	var s v1alpha1.Session
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: ic.Spec.Session}, &s)
	if apierrors.IsNotFound(err) || err == nil && !s.Serves(ic.Spec.User) {
		why = "its session is over"
	}
	r.event(ctx, ic, corev1.EventTypeNormal, "InterceptRemoved", "Intercept", "intercept %s of %s has ended: %s", which(ic), ic.Spec.User, why)
}

// which names an intercept, and its port if it has one.
func which(ic *v1alpha1.Intercept) string {
	if ic.Status.Port == "" {
		return ic.Name
	}
	return fmt.Sprintf("%s (port %s)", ic.Name, ic.Status.Port)
}

// event writes an Event on the workload, related to the Intercept: those that differ in
// the note alone would be counted as one. It does nothing if the workload is gone.
func (r *Intercepts) event(ctx context.Context, ic *v1alpha1.Intercept, kind, reason, action, format string, args ...any) {
	w, err := resolve.Get(ctx, r.Client, ic.Namespace, ic.Spec.Workload)
	if err != nil {
		return
	}
	about := &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: w.Ref.APIVersion, Kind: w.Ref.Kind},
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: w.Ref.Name, UID: w.UID},
	}
	r.Events.Eventf(about, ic, kind, reason, action, "%s", note(fmt.Sprintf(format, args...)))
}

// maxNote is how many bytes the note of an Event may have. The API server refuses longer
// ones.
const maxNote = 1024

// note cuts a text that is too long for an Event, between two words if it can. The status
// has all of it.
func note(text string) string {
	const more = " …"
	if len(text) <= maxNote {
		return text
	}
	text = text[:maxNote-len(more)]
	if at := strings.LastIndexByte(text, ' '); at > 0 {
		text = text[:at]
	}
	return strings.ToValidUTF8(text, "") + more
}

func active(ic *v1alpha1.Intercept) bool {
	return meta.IsStatusConditionTrue(ic.Status.Conditions, v1alpha1.ConditionActive)
}

func unmatched(ic *v1alpha1.Intercept) bool {
	return meta.IsStatusConditionFalse(ic.Status.Conditions, v1alpha1.ConditionMatched)
}
