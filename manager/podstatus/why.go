package podstatus

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/inject"
)

// WhyUnready says in half a sentence why a running pod is not ready, or does not stay
// ready.
func WhyUnready(pod *corev1.Pod) string {
	if name, last := looping(pod); last != nil {
		return "container " + name + " " + loops(last)
	}
	if NodeSilent(pod) {
		return WhySilent(pod)
	}
	for _, s := range pod.Status.ContainerStatuses {
		if s.Ready {
			continue
		}
		switch w, t := s.State.Waiting, s.State.Terminated; {
		case w != nil:
			return "container " + s.Name + " " + waits(&s)
		case t != nil:
			return fmt.Sprintf("container %s has ended with exit code %d", s.Name, t.ExitCode)
		case s.Started != nil && !*s.Started:
			return "container " + s.Name + " does not pass its startup probe"
		}
		k := slices.IndexFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == s.Name })
		if k >= 0 && pod.Spec.Containers[k].ReadinessProbe != nil {
			return "container " + s.Name + " does not pass its readiness probe"
		}
	}
	for _, g := range pod.Spec.ReadinessGates {
		if !IsTrue(pod, g.ConditionType) {
			return "its readiness gate " + string(g.ConditionType) + " is not true"
		}
	}
	return "the kubelet of node " + pod.Spec.NodeName + " does not say why"
}

// WhySilent is half a sentence about a pod for which NodeSilent holds.
func WhySilent(pod *corev1.Pod) string { return "its node " + pod.Spec.NodeName + " does not answer" }

// WhyPending says in half a sentence why a pod does not run yet.
func WhyPending(pod *corev1.Pod) string {
	if c := Scheduling(pod); c != nil && c.Status == corev1.ConditionFalse {
		return "cannot be scheduled: " + c.Message
	}
	for _, s := range pod.Status.InitContainerStatuses {
		switch {
		case s.State.Running != nil && !s.Ready && (s.Started == nil || *s.Started) && !nativeSidecar(pod, s.Name):
			return "is not running yet: init container " + s.Name + " has not ended yet"
		case s.State.Waiting != nil && s.State.Waiting.Reason != "PodInitializing":
			return "is not running yet: init container " + s.Name + " " + waits(&s)
		}
	}
	for _, s := range pod.Status.ContainerStatuses {
		if s.State.Waiting != nil {
			return "is not running yet: container " + s.Name + " " + waits(&s)
		}
	}
	return "is not running yet"
}

// Hint is a command that tells more about a pod that is not ready, and "says more".
func Hint(pod *corev1.Pod) string {
	if name, last := looping(pod); last != nil {
		return fmt.Sprintf("kubectl logs %s -c %s -n %s --previous says more", pod.Name, name, pod.Namespace)
	}
	return fmt.Sprintf("kubectl describe pod %s -n %s says more", pod.Name, pod.Namespace)
}

// waits says in half a sentence why a container waits.
func waits(s *corev1.ContainerStatus) string {
	w := s.State.Waiting
	message := strings.TrimSpace(w.Message)
	switch {
	case inject.CannotPull(w.Reason):
		return "does not start: the image " + s.Image + " cannot be pulled: " + inject.PullReason(message)
	case w.Reason == "CrashLoopBackOff":
		if t := s.LastTerminationState.Terminated; t != nil {
			return loops(t)
		}
		return "ends again and again"
	case w.Reason == "ContainerCreating" || w.Reason == "PodInitializing" || w.Reason == "":
		return "is being started"
	}
	return strings.TrimSuffix("does not start: "+w.Reason+": "+message, ": ")
}

// looping is a container of the pod in a crash loop, and how it ended last; nil where
// none is. Between two attempts the kubelet says either that the container has
// terminated or that it waits.
func looping(pod *corev1.Pod) (string, *corev1.ContainerStateTerminated) {
	for _, s := range pod.Status.ContainerStatuses {
		w, t := s.State.Waiting, s.State.Terminated
		switch {
		case t != nil && s.RestartCount > 0:
			return s.Name, t
		case steadyIn(&s) > 0, w != nil && w.Reason == "CrashLoopBackOff":
			return s.Name, s.LastTerminationState.Terminated
		}
	}
	return "", nil
}

func loops(t *corev1.ContainerStateTerminated) string {
	return strings.TrimSuffix(fmt.Sprintf("ends again and again: exit code %d: %s", t.ExitCode, strings.TrimSpace(t.Message)), ": ")
}

// nativeSidecar says that an init container of this name runs as long as the pod.
func nativeSidecar(pod *corev1.Pod, name string) bool {
	return slices.ContainsFunc(resolve.Containers(&pod.Spec), func(c corev1.Container) bool { return c.Name == name })
}
