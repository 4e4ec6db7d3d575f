package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/inject"
)

// lost says why a pod without a reporting agent is not to be waited for; empty
// while it is. While it is, callers may be led to the pod. A pod that is not ready
// gets no callers, and its node may never start the agent.
func (r *Intercepts) lost(pod *corev1.Pod) string {
	agent := inject.Observe(pod)
	switch {
	case ready(pod):
		return ""
	case unanswered(pod):
		return noAnswer(pod)
	case agent.Running && agent.Problem == "" && !started(pod) && r.unheard(pod) > patience:
		return "it is not ready, and its node " + pod.Spec.NodeName + " does not start the agent in it"
	}
	return ""
}

// unanswered says that the node's kubelet is away: then the control plane takes
// Ready from the pod, and leaves what the kubelet said of its containers.
func unanswered(pod *corev1.Pod) bool {
	return isTrue(pod, corev1.ContainersReady) && len(pod.Spec.ReadinessGates) == 0
}

func noAnswer(pod *corev1.Pod) string {
	return "its node " + pod.Spec.NodeName + " does not answer"
}

func isTrue(pod *corev1.Pod, kind corev1.PodConditionType) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == kind && c.Status == corev1.ConditionTrue
	})
}

// steady is how long a container that ended has to run before its pod counts as
// one that stays ready: as long as the kubelet's first pause in a crash loop.
const steady = 10 * time.Second

// falters is how long it takes until every container that was restarted has run
// for long enough; 0 if all have. In a crash loop without a probe a pod is ready
// for a moment at each attempt. The times are those of the node's clock: where it
// is ahead, the pod is taken at its word.
func falters(pod *corev1.Pod) time.Duration {
	left := time.Duration(0)
	for _, s := range pod.Status.ContainerStatuses {
		left = max(left, faltering(&s))
	}
	return left
}

func faltering(s *corev1.ContainerStatus) time.Duration {
	if s.State.Running == nil || s.LastTerminationState.Terminated == nil {
		return 0
	}
	ran := time.Since(s.State.Running.StartedAt.Time)
	if ran < 0 {
		return 0
	}
	return max(0, steady-ran)
}

// unready says in half a sentence why a running pod is not ready, or not for long.
func unready(pod *corev1.Pod) string {
	if name, last := looping(pod); last != nil {
		return "container " + name + " " + loops(last)
	}
	if unanswered(pod) {
		return noAnswer(pod)
	}
	for _, s := range pod.Status.ContainerStatuses {
		if s.Ready {
			continue
		}
		switch w, t := s.State.Waiting, s.State.Terminated; {
		case w != nil:
			return "container " + s.Name + " " + stuck(&s)
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
		if !isTrue(pod, g.ConditionType) {
			return "its readiness gate " + string(g.ConditionType) + " is not true"
		}
	}
	return "the kubelet of node " + pod.Spec.NodeName + " does not say why"
}

// stuck says in half a sentence why a container waits.
func stuck(s *corev1.ContainerStatus) string {
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

// looping is a container of the pod that ends again and again, and how it ended last;
// nil where none does. Between two attempts the kubelet says either that it has ended
// or that it waits.
func looping(pod *corev1.Pod) (string, *corev1.ContainerStateTerminated) {
	for _, s := range pod.Status.ContainerStatuses {
		w, t := s.State.Waiting, s.State.Terminated
		switch {
		case t != nil && s.RestartCount > 0:
			return s.Name, t
		case faltering(&s) > 0, w != nil && w.Reason == "CrashLoopBackOff":
			return s.Name, s.LastTerminationState.Terminated
		}
	}
	return "", nil
}

// loops is what becomes of a container that is restarted.
func loops(t *corev1.ContainerStateTerminated) string {
	return strings.TrimSuffix(fmt.Sprintf("ends again and again: exit code %d: %s", t.ExitCode, strings.TrimSpace(t.Message)), ": ")
}

// pending says in half a sentence why a pod does not run yet.
func pending(pod *corev1.Pod) string {
	if c := scheduling(pod); c != nil && c.Status == corev1.ConditionFalse {
		return "cannot be scheduled: " + c.Message
	}
	for _, s := range pod.Status.InitContainerStatuses {
		switch {
		case s.State.Running != nil && !s.Ready && (s.Started == nil || *s.Started) && !restarts(pod, s.Name):
			return "is not running yet: init container " + s.Name + " has not ended yet"
		case s.State.Waiting != nil && s.State.Waiting.Reason != "PodInitializing":
			return "is not running yet: init container " + s.Name + " " + stuck(&s)
		}
	}
	for _, s := range pod.Status.ContainerStatuses {
		if s.State.Waiting != nil {
			return "is not running yet: container " + s.Name + " " + stuck(&s)
		}
	}
	return "is not running yet"
}

// restarts says that an init container is one that runs on: a native sidecar.
func restarts(pod *corev1.Pod, name string) bool {
	return slices.ContainsFunc(resolve.Containers(&pod.Spec), func(c corev1.Container) bool { return c.Name == name })
}

// runs says that a pod runs and can be reached.
func runs(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodRunning && pod.Status.PodIP != ""
}

// nobody says why no pod of the workload can be intercepted now.
func nobody(w *resolve.Workload, pods []corev1.Pod) string {
	const then = "the intercept begins with the first pod that runs"
	if k := slices.IndexFunc(pods, func(p corev1.Pod) bool { return !runs(&p) }); k >= 0 {
		return fmt.Sprintf("pod %s %s; %s", pods[k].Name, pending(&pods[k]), then)
	}
	switch {
	case len(pods) > 0: // a problem says why they do not count
		return fmt.Sprintf("%s has no pod that can be intercepted", w)
	case w.Ended:
		return fmt.Sprintf("%s has ended and makes no more pods", w)
	case w.Replicas == 0 && slices.Contains([]string{"Deployment", "StatefulSet", "ReplicaSet", "Rollout"}, w.Ref.Kind):
		return fmt.Sprintf("%s is scaled to 0 pods; %s: kubectl scale %s --replicas=1 -n %s starts one", w, then, w, w.Namespace)
	case w.Replicas == 0 && w.Ref.Kind == "DaemonSet":
		return fmt.Sprintf("no node wants a pod of %s; %s", w, then)
	}
	return fmt.Sprintf("%s has no pod yet; %s", w, then)
}

// shown is how many pods a sentence about pods that are not ready names.
const shown = 3

// unserved says which running pods no Service leads callers to, or only now and
// then, and why; empty when all are ready, or the Service does not ask for that.
func (r *Intercepts) unserved(ctx context.Context, ic *v1alpha1.Intercept, a *attached) (string, error) {
	if len(a.unready) == 0 {
		return strings.Join(a.lost, "; "), nil
	}
	for _, p := range ic.Status.Ports {
		if p.Service == "" {
			continue
		}
		var s corev1.Service
		err := r.Client.Get(ctx, client.ObjectKey{Namespace: ic.Namespace, Name: p.Service}, &s)
		if client.IgnoreNotFound(err) != nil {
			return "", err
		}
		if err == nil && s.Spec.PublishNotReadyAddresses {
			return strings.Join(a.lost, "; "), nil
		}
	}
	return strings.Join(append(slices.Clone(a.lost), a.away()), "; "), nil
}

// away says which running pods are not ready, or not for long, and why. There is one.
func (a *attached) away() string {
	first := a.unready[0]
	if len(a.unready) == 1 {
		state := "is not ready, so Services send it nothing"
		if ready(first) {
			state = "does not stay ready, so Services send it nothing most of the time"
		}
		return fmt.Sprintf("pod %s %s: %s; %s", first.Name, state, unready(first), more(first))
	}
	var each []string
	for _, p := range a.unready[:min(shown, len(a.unready))] {
		each = append(each, "pod "+p.Name+": "+unready(p))
	}
	state := "are not ready, so Services send them nothing"
	if slices.ContainsFunc(a.unready, ready) {
		state = "are not ready or do not stay ready, so Services send them nothing most of the time"
	}
	return fmt.Sprintf("%d of %d pods %s: %s; %s", len(a.unready), a.pods, state, strings.Join(each, "; "), more(first))
}

// more is what a person types next.
func more(p *corev1.Pod) string {
	if name, last := looping(p); last != nil {
		return fmt.Sprintf("kubectl logs %s -c %s -n %s --previous says more", p.Name, name, p.Namespace)
	}
	return fmt.Sprintf("kubectl describe pod %s -n %s says more", p.Name, p.Namespace)
}

// early brings an agent into a pod that is being started, so that it is there
// before callers are. Where the agent's image has to be pulled, nothing of the
// pod waits for that: what is left to start are ephemeral containers only.
func (r *Intercepts) early(ctx context.Context, ic *v1alpha1.Intercept, pod *corev1.Pod) {
	begun := len(pod.Spec.InitContainers) == 0 || isTrue(pod, corev1.PodInitialized)
	if pod.Spec.NodeName == "" || !begun || pod.Spec.HostNetwork || ic.Status.Injection != v1alpha1.InjectEphemeral ||
		covered(ic, pod) || aside(ic, pod) || inject.Entered(pod) {
		return
	}
	if p := r.bring(ctx, pod); p != nil { // told once the pod runs
		r.Log.Debug("no agent in a pod that is being started", "pod", pod.Name, "namespace", pod.Namespace, "error", p.message)
	}
}
