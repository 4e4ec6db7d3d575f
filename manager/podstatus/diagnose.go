package podstatus

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/inject"
	"github.com/kubectl-intercept/kubectl-intercept/manager/problem"
)

// Diagnose says why a pod with a sidecar does not become ready, where the status shows
// it and waiting does not change it; nil otherwise.
func Diagnose(p *corev1.Pod) *problem.Problem {
	if c := Scheduling(p); c != nil && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
		return problem.New(v1alpha1.ReasonUnschedulable, "pod %s with the sidecar cannot be scheduled: %s", p.Name, c.Message)
	}
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		w := c.State.Waiting
		if w == nil {
			continue
		}
		message := fmt.Sprintf("pod %s: container %s %s", p.Name, c.Name, waits(&c))
		switch {
		case inject.CannotPull(w.Reason):
			return &problem.Problem{Reason: v1alpha1.ReasonImagePull, Message: message}
		case slices.Contains([]string{"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff"}, w.Reason):
			return &problem.Problem{Reason: v1alpha1.ReasonPodNotReady, Message: message}
		}
	}
	return nil
}

// Scheduling is the scheduler's condition of the pod; nil when there is none.
func Scheduling(p *corev1.Pod) *corev1.PodCondition {
	for i, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled {
			return &p.Status.Conditions[i]
		}
	}
	return nil
}

// UnscheduledSince is since when a pod waits for a node.
func UnscheduledSince(p *corev1.Pod) time.Time {
	if c := Scheduling(p); c != nil && !c.LastTransitionTime.IsZero() {
		return c.LastTransitionTime.Time
	}
	return p.CreationTimestamp.Time
}
