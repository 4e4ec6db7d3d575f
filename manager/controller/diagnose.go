package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/inject"
)

// diagnose says why a pod does not become ready, where that shows and will not
// change by waiting.
func diagnose(p *corev1.Pod) *problem {
	if c := scheduling(p); c != nil && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
		return &problem{v1alpha1.ReasonUnschedulable, fmt.Sprintf("pod %s with the sidecar cannot be scheduled: %s", p.Name, c.Message)}
	}
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		w := c.State.Waiting
		if w == nil {
			continue
		}
		message := fmt.Sprintf("pod %s: container %s %s", p.Name, c.Name, stuck(&c))
		switch {
		case inject.CannotPull(w.Reason):
			return &problem{v1alpha1.ReasonImagePull, message}
		case slices.Contains([]string{"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff"}, w.Reason):
			return &problem{v1alpha1.ReasonPodNotReady, message}
		}
	}
	return nil
}

const (
	// scaleUpLife is how long a node that was announced is waited for: as long
	// as the cluster autoscaler itself does by default.
	scaleUpLife = 15 * time.Minute
	// What autoscalers say about a pod: the cluster autoscaler that it makes a
	// node, Karpenter that it has chosen one, and the former that it does not.
	triggeredScaleUp, nominated, notTriggered = "TriggeredScaleUp", "Nominated", "NotTriggerScaleUp"
)

// hindrance is diagnose for a pod that may get its node later: one that an
// autoscaler has announced, or within the grace that is configured, is waited
// for.
func (r *Intercepts) hindrance(ctx context.Context, p *corev1.Pod, now time.Time) (*problem, error) {
	why := diagnose(p)
	if why == nil || why.reason != v1alpha1.ReasonUnschedulable {
		return why, nil
	}
	last, err := r.lastEvent(ctx, p.Namespace, p.UID, func(e *corev1.Event) bool {
		return slices.Contains([]string{triggeredScaleUp, nominated, notTriggered}, e.Reason)
	})
	if err != nil {
		return nil, err
	}
	if last != nil && last.Reason != notTriggered && now.Sub(seen(last)) < scaleUpLife {
		return wait(fmt.Sprintf("waiting for a node for pod %s with the sidecar, which the autoscaler has announced: %s", p.Name, last.Message)), nil
	}
	if r.SchedulingGrace > 0 && now.Sub(unscheduledSince(p)) < r.SchedulingGrace {
		return wait(fmt.Sprintf("waiting up to %s for a node for pod %s with the sidecar: %s", r.SchedulingGrace, p.Name, scheduling(p).Message)), nil
	}
	if last != nil && last.Reason == notTriggered {
		why.message += "; the autoscaler: " + last.Message
	}
	return why, nil
}

// scheduling is what the scheduler says; nil when nothing.
func scheduling(p *corev1.Pod) *corev1.PodCondition {
	for i, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled {
			return &p.Status.Conditions[i]
		}
	}
	return nil
}

// unscheduledSince is since when the pod looks for a node.
func unscheduledSince(p *corev1.Pod) time.Time {
	if c := scheduling(p); c != nil && !c.LastTransitionTime.IsZero() {
		return c.LastTransitionTime.Time
	}
	return p.CreationTimestamp.Time
}

// unreached is a pod that was made after a sidecar was wanted in it and has
// none. The API server keeps to itself why.
func unreached(p *corev1.Pod) *problem {
	return &problem{v1alpha1.ReasonWebhookUnreachable, fmt.Sprintf(
		"pod %s was made without a sidecar: the API server does not reach the webhook of the traffic-manager; "+
			"see that it may connect to the pods of the traffic-manager at port 443, and that nothing but the traffic-manager changes its MutatingWebhookConfiguration", p.Name)}
}

// refusedCreation says why a controller cannot make pods, by its Events since a
// time; nil when none tells.
func (r *Intercepts) refusedCreation(ctx context.Context, namespace string, owner *metav1.OwnerReference, since time.Time) (*problem, error) {
	if owner == nil {
		return nil, nil
	}
	last, err := r.lastEvent(ctx, namespace, owner.UID, func(e *corev1.Event) bool {
		return e.Reason == "FailedCreate" && !seen(e).Before(since.Truncate(time.Second))
	})
	if last == nil || err != nil {
		return nil, err
	}
	return refused(fmt.Sprintf("%s %s", strings.ToLower(owner.Kind), owner.Name), last.Message), nil
}

// lastEvent is the latest Event about an object that is wanted; nil if there is
// none.
func (r *Intercepts) lastEvent(ctx context.Context, namespace string, about types.UID, wanted func(*corev1.Event) bool) (*corev1.Event, error) {
	var list corev1.EventList
	if err := r.Live.List(ctx, &list, client.InNamespace(namespace),
		client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("involvedObject.uid", string(about))}); err != nil {
		return nil, err
	}
	var last *corev1.Event
	for i := range list.Items {
		if e := &list.Items[i]; wanted(e) && (last == nil || seen(e).After(seen(last))) {
			last = e
		}
	}
	return last, nil
}

func seen(e *corev1.Event) time.Time {
	switch {
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	case e.Series != nil:
		return e.Series.LastObservedTime.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}

// refused sorts what the API server says to a controller that makes a pod.
func refused(who, message string) *problem {
	reason, what := v1alpha1.ReasonCreateFailed, "cannot make the pod with the sidecar"
	switch {
	case strings.Contains(message, "exceeded quota"), strings.Contains(message, "failed quota"):
		reason, what = v1alpha1.ReasonQuotaExceeded, "cannot make the pod with the sidecar, the namespace's quota forbids it"
	case strings.Contains(message, "violates PodSecurity"):
		reason, what = v1alpha1.ReasonPodSecurity, "cannot make the pod with the sidecar, pod security forbids it"
	}
	return &problem{reason, fmt.Sprintf("%s %s: %s", who, what, message)}
}

func ready(p *corev1.Pod) bool {
	return p.DeletionTimestamp == nil && isTrue(p, corev1.PodReady)
}
