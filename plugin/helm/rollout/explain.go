package rollout

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// How much is said about a pod.
const (
	maxEvents   = 6
	maxLogLines = 10
	maxReason   = 100 // characters
)

// worst is the pod to tell about: the first one in trouble, else the first that
// is not ready; nil if all are. The others wait for the same, as a rule.
func worst(pods []corev1.Pod) *corev1.Pod {
	var found *corev1.Pod
	for i := range pods {
		if trouble(&pods[i]) != "" {
			return &pods[i]
		}
		if found == nil && !isReady(&pods[i]) {
			found = &pods[i]
		}
	}
	return found
}

// refusal is why a Deployment has no pods; nil if nothing refuses them.
func refusal(d *appsv1.Deployment) *appsv1.DeploymentCondition {
	for i, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
			return &d.Status.Conditions[i]
		}
	}
	return nil
}

// explain tells in several lines what is known about a pod.
func (w Watcher) explain(ctx context.Context, pod *corev1.Pod, events []corev1.Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "pod/%s: %s", pod.Name, phase(pod, events))
	if len(events) > 0 {
		fmt.Fprint(&b, "\n  last events:")
		for _, e := range events {
			fmt.Fprintf(&b, "\n    %s: %s", e.Reason, oneLine(e.Message))
		}
	}
	for _, c := range pod.Status.ContainerStatuses {
		if c.RestartCount == 0 && c.State.Waiting != nil {
			continue // it has never run
		}
		if text := w.log(ctx, pod.Name, c); text != "" {
			fmt.Fprintf(&b, "\n  last lines of the log:\n    %s", strings.ReplaceAll(text, "\n", "\n    "))
		}
	}
	return b.String()
}

// phase is what a pod is at: its trouble, or how far it has come.
func phase(pod *corev1.Pod, events []corev1.Event) string {
	if pod.DeletionTimestamp != nil && len(pod.Finalizers) > 0 {
		return "ending, kept by finalizer " + strings.Join(pod.Finalizers, ", ")
	}
	if pod.DeletionTimestamp != nil {
		return "ending"
	}
	if reason := trouble(pod); reason != "" {
		return reason
	}
	if pod.Spec.NodeName == "" {
		return "waiting for a node"
	}
	if slices.ContainsFunc(pod.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool { return c.State.Running != nil }) {
		return "running, not ready yet"
	}
	if len(events) == 0 {
		return "starting"
	}
	last := events[len(events)-1]
	switch {
	case last.Type == corev1.EventTypeWarning:
		return brief(last.Reason, last.Message)
	case last.Reason == "Pulling":
		return "pulling image"
	default:
		return "starting"
	}
}

// events returns the last ones of a pod, oldest first.
func (w Watcher) events(ctx context.Context, pod *corev1.Pod) []corev1.Event {
	list, err := w.Client.CoreV1().Events(w.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: "involvedObject.name=" + pod.Name,
	})
	if err != nil {
		return nil
	}
	events := slices.DeleteFunc(list.Items, func(e corev1.Event) bool { return e.InvolvedObject.Name != pod.Name })
	when := func(e corev1.Event) metav1.Time {
		if !e.LastTimestamp.IsZero() {
			return e.LastTimestamp
		}
		return metav1.Time{Time: e.EventTime.Truncate(time.Second)}
	}
	slices.SortStableFunc(events, func(a, b corev1.Event) int { return when(a).Compare(when(b).Time) })
	return events[max(0, len(events)-maxEvents):]
}

// log returns the end of a container's log; of the run before, if this one has
// just begun.
func (w Watcher) log(ctx context.Context, pod string, c corev1.ContainerStatus) string {
	lines := int64(maxLogLines)
	stream, err := w.Client.CoreV1().Pods(w.Namespace).GetLogs(pod, &corev1.PodLogOptions{
		Container: c.Name, TailLines: &lines, Previous: c.State.Running == nil && c.RestartCount > 0 && c.State.Terminated == nil,
	}).Stream(ctx)
	if err != nil {
		return ""
	}
	defer stream.Close()
	text, err := io.ReadAll(io.LimitReader(stream, 64<<10))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// trouble says why a pod cannot become ready; empty while it is on its way. It
// says the same of a container that fails again and again, whichever moment of
// that it sees.
func trouble(pod *corev1.Pod) string {
	for _, c := range pod.Status.ContainerStatuses {
		ended := c.State.Terminated
		if ended == nil {
			ended = c.LastTerminationState.Terminated
		}
		if ended != nil && !c.Ready {
			return fmt.Sprintf("container %s ends, %s, exit code %d", c.Name, ended.Reason, ended.ExitCode)
		}
		if s := c.State.Waiting; s != nil && s.Reason != "ContainerCreating" && s.Reason != "PodInitializing" {
			return brief(s.Reason, s.Message)
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return brief(c.Reason, c.Message)
		}
	}
	return ""
}

func isReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// brief is a reason with as much of its message as a line can take.
func brief(reason, message string) string {
	message = oneLine(message)
	if runes := []rune(message); len(runes) > maxReason {
		message = string(runes[:maxReason]) + "…"
	}
	return strings.TrimSuffix(reason+": "+message, ": ")
}

// oneLine joins the lines of a message.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
