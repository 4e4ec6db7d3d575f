// Package podstatus reads off a pod's status whether it runs and is ready, and if
// not, why, in words for people.
package podstatus

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Runs says that a pod runs and can be reached.
func Runs(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodRunning && pod.Status.PodIP != ""
}

// Ready says that a pod is ready and is not being deleted.
func Ready(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && IsTrue(pod, corev1.PodReady)
}

// NodeSilent says that the node's kubelet does not answer: the control plane then
// makes the condition Ready false, and leaves ContainersReady as the kubelet set it.
func NodeSilent(pod *corev1.Pod) bool {
	return IsTrue(pod, corev1.ContainersReady) && len(pod.Spec.ReadinessGates) == 0
}

// IsTrue says that a condition of the pod is true.
func IsTrue(pod *corev1.Pod, kind corev1.PodConditionType) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == kind && c.Status == corev1.ConditionTrue
	})
}

// Steady is how long a restarted container has to run before its pod counts as one
// that stays ready: as long as the kubelet's first pause in a crash loop.
const Steady = 10 * time.Second

// SteadyIn is how long it takes until every restarted container has run for Steady;
// 0 if all have. A pod in a crash loop without a probe is ready for a moment at each
// attempt. The times are those of the node's clock: where that is ahead, the pod
// counts as steady.
func SteadyIn(pod *corev1.Pod) time.Duration {
	left := time.Duration(0)
	for _, s := range pod.Status.ContainerStatuses {
		left = max(left, steadyIn(&s))
	}
	return left
}

func steadyIn(s *corev1.ContainerStatus) time.Duration {
	if s.State.Running == nil || s.LastTerminationState.Terminated == nil {
		return 0
	}
	ran := time.Since(s.State.Running.StartedAt.Time)
	if ran < 0 {
		return 0
	}
	return max(0, Steady-ran)
}
