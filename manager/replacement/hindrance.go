package replacement

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
	"github.com/kubectl-intercept/kubectl-intercept/manager/podstatus"
	"github.com/kubectl-intercept/kubectl-intercept/manager/problem"
)

const (
	// scaleUpTime is how long a node that an autoscaler has announced is waited for: as
	// long as the cluster autoscaler waits by default.
	scaleUpTime = 15 * time.Minute
	// Reasons of Events by which autoscalers tell about a pod: the cluster autoscaler
	// adds a node, Karpenter has chosen one, the cluster autoscaler adds none.
	triggeredScaleUp, nominated, notTriggered = "TriggeredScaleUp", "Nominated", "NotTriggerScaleUp"
)

// hindrance says why a pod with a sidecar does not become ready; nil when nothing
// shows. A pod without a node is waited for while an autoscaler has announced one, or
// within the configured grace.
func (r *Replacer) hindrance(ctx context.Context, p *corev1.Pod, now time.Time) (*problem.Problem, error) {
	why := podstatus.Diagnose(p)
	if why == nil || why.Reason != v1alpha1.ReasonUnschedulable {
		return why, nil
	}
	last, err := r.lastEvent(ctx, p.Namespace, p.UID, func(e *corev1.Event) bool {
		return slices.Contains([]string{triggeredScaleUp, nominated, notTriggered}, e.Reason)
	})
	if err != nil {
		return nil, err
	}
	if last != nil && last.Reason != notTriggered && now.Sub(seen(last)) < scaleUpTime {
		return waiting("waiting for a node for pod %s with the sidecar, which the autoscaler has announced: %s", p.Name, last.Message), nil
	}
	if r.SchedulingGrace > 0 && now.Sub(podstatus.UnscheduledSince(p)) < r.SchedulingGrace {
		return waiting("waiting up to %s for a node for pod %s with the sidecar: %s", r.SchedulingGrace, p.Name, podstatus.Scheduling(p).Message), nil
	}
	if last != nil && last.Reason == notTriggered {
		why.Message += "; the autoscaler: " + last.Message
	}
	return why, nil
}

// webhookMissed is about a pod that was made after a sidecar was wanted in it, and has
// none. The API server does not tell why.
func webhookMissed(p *corev1.Pod) *problem.Problem {
	return problem.New(v1alpha1.ReasonWebhookUnreachable,
		"pod %s was made without a sidecar: the API server does not reach the webhook of the traffic-manager; "+
			"see that it may connect to the pods of the traffic-manager at port 443, and that nothing but the traffic-manager changes its MutatingWebhookConfiguration", p.Name)
}

// refusedCreation says why a controller cannot make pods, by its Events since a time;
// nil when no Event tells.
func (c *Cluster) refusedCreation(ctx context.Context, namespace string, owner *metav1.OwnerReference, since time.Time) (*problem.Problem, error) {
	if owner == nil {
		return nil, nil
	}
	last, err := c.lastEvent(ctx, namespace, owner.UID, func(e *corev1.Event) bool {
		return e.Reason == "FailedCreate" && !seen(e).Before(since.Truncate(time.Second))
	})
	if last == nil || err != nil {
		return nil, err
	}
	return refused(fmt.Sprintf("%s %s", strings.ToLower(owner.Kind), owner.Name), last.Message), nil
}

// refused sorts what the API server says to a controller that makes a pod.
func refused(controller, message string) *problem.Problem {
	reason, what := v1alpha1.ReasonCreateFailed, "cannot make the pod with the sidecar"
	switch {
	case strings.Contains(message, "exceeded quota"), strings.Contains(message, "failed quota"):
		reason, what = v1alpha1.ReasonQuotaExceeded, "cannot make the pod with the sidecar, the namespace's quota forbids it"
	case strings.Contains(message, "violates PodSecurity"):
		reason, what = v1alpha1.ReasonPodSecurity, "cannot make the pod with the sidecar, pod security forbids it"
	}
	return problem.New(reason, "%s %s: %s", controller, what, message)
}

// lastEvent is the latest wanted Event about an object; nil if there is none.
func (c *Cluster) lastEvent(ctx context.Context, namespace string, about types.UID, wanted func(*corev1.Event) bool) (*corev1.Event, error) {
	var list corev1.EventList
	if err := c.Live.List(ctx, &list, client.InNamespace(namespace),
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

// seen is when an Event happened last.
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
