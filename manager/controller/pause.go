package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/podstatus"
	"github.com/kubectl-intercept/kubectl-intercept/manager/problem"
)

// pausing counts the pods of an Intercept of mode Replace.
type pausing struct {
	pods    int // that run
	stopped int // whose container is stopped
	problem *problem.Problem
}

// pause brings an agent beside the container of every running pod, which stops it when the plan
// says so, and counts the pods. It returns when to reconcile again.
func (r *Intercepts) pause(ctx context.Context, ic *v1alpha1.Intercept, d *decision, pods []corev1.Pod) time.Duration {
	for i := range pods {
		pod := &pods[i]
		if !podstatus.Runs(pod) || pod.DeletionTimestamp != nil {
			continue
		}
		d.pausing.pods++
		if why := r.pauseOne(ctx, ic, d, pod); why != nil {
			d.pausing.problem = why
		}
	}
	if d.pausing.stopped < d.pausing.pods && d.connected {
		return 5 * time.Second
	}
	return 0
}

func (r *Intercepts) pauseOne(ctx context.Context, ic *v1alpha1.Intercept, d *decision, pod *corev1.Pod) *problem.Problem {
	if why := resolve.Forbidden(pod.Annotations); why != "" {
		return problem.New(v1alpha1.ReasonForbidden, "pod %s cannot be intercepted: %s", pod.Name, why)
	}
	container, missing := resolve.StandInContainer(ic.Spec.StandIn.Container, d.ports, pod)
	if missing != "" {
		return problem.New(v1alpha1.ReasonNoContainer, "%s", missing)
	}
	if !d.connected || d.hopeless() {
		return nil // an agent would have nothing to do, and cannot be taken out again
	}
	if report := containerOf(d.reports, pod, container); report != nil {
		switch report.State {
		case v1alpha1.PodActive:
			d.pausing.stopped++
			return nil
		case v1alpha1.PodError:
			return problem.New(v1alpha1.ReasonAgentFailed, "container %s of pod %s runs: %s", container, pod.Name, report.Message)
		}
	}
	return r.Agents.bringStandIn(ctx, pod, container)
}

// hopeless says that agents do not get the ports until a person changes something.
func (d *decision) hopeless() bool {
	p := d.progress.problem
	return p != nil && v1alpha1.MeaningOf(p.Reason) == v1alpha1.MeansFinal
}

// paused is whether the container of every pod is stopped, if the laptop is connected.
func (d *decision) paused() verdict {
	switch p := &d.pausing; {
	case p.problem != nil:
		return verdict{metav1.ConditionFalse, p.problem.Reason, p.problem.Message}
	case p.pods == 0:
		return verdict{metav1.ConditionFalse, v1alpha1.ReasonNoPods, d.progress.nobody}
	case p.stopped < p.pods && d.connected:
		return verdict{metav1.ConditionFalse, v1alpha1.ReasonAttaching, fmt.Sprintf("stopping the container: done in %d of %d pods", p.stopped, p.pods)}
	}
	return verdict{metav1.ConditionTrue, v1alpha1.ReasonAttached, fmt.Sprintf("attached to %d of %d pods", d.pausing.pods, d.pausing.pods)}
}

// captured are the ports whose callers agents have: those that are intercepted, and those on
// which they answer probes alone.
func (d *decision) captured() []v1alpha1.ResolvedPort { return slices.Concat(d.ports, d.probePorts) }

// probePorts are the ports on which the kubelet probes the container that mode Replace stops,
// other than the intercepted ones.
func probePorts(ic *v1alpha1.Intercept, w *resolve.Workload, ports []v1alpha1.ResolvedPort) []v1alpha1.ResolvedPort {
	return resolve.Unintercepted(probed(ic, w, ports), ports, w.Template())
}

// probed are the numbers of all ports on which the kubelet probes the container that mode
// Replace stops.
func probed(ic *v1alpha1.Intercept, w *resolve.Workload, ports []v1alpha1.ResolvedPort) []int32 {
	if ic.Spec.Mode != v1alpha1.ModeReplace || ic.Spec.StandIn == nil {
		return nil
	}
	container, missing := resolve.StandInContainer(ic.Spec.StandIn.Container, ports, w.Template())
	if missing != "" {
		return nil // the pods say so
	}
	return resolve.ProbedPorts(&w.Spec, container)
}

// unanswered says why a sidecar does not do for mode Replace; nil if it does, or the mode is
// another one. Probes reach the application past a sidecar that has taken over the name of
// its port, and one that was made for other ports cannot get more.
func (a *attachment) unanswered() *problem.Problem {
	numbers := probed(a.ic, a.workload, a.d.ports)
	if len(numbers) == 0 {
		return nil
	}
	then := "use --inject ephemeral"
	if a.ic.Spec.Inject != v1alpha1.InjectSidecar {
		then = fmt.Sprintf("take the sidecar out with kubectl intercept uninstall agent %s -n %s, and type the command again", a.workload, a.workload.Namespace)
	}
	return problem.New(v1alpha1.ReasonNotSupported, "%s cannot be replaced beside a sidecar: the kubelet probes port %d of the container, and while that is stopped nobody would answer there but an ephemeral agent: %s",
		a.workload, numbers[0], then)
}

// sharesContainer says that two Intercepts of mode Replace would stop the same container.
func sharesContainer(ic, other *v1alpha1.Intercept, ports []v1alpha1.ResolvedPort, w *resolve.Workload, pods []corev1.Pod) (name string) {
	if ic.Spec.Mode != v1alpha1.ModeReplace || other.Spec.Mode != v1alpha1.ModeReplace || ic.Spec.StandIn == nil || other.Spec.StandIn == nil {
		return ""
	}
	for _, pod := range append(slices.Clone(pods), *w.Template()) {
		mine, missing := resolve.StandInContainer(ic.Spec.StandIn.Container, ports, &pod)
		theirs, too := resolve.StandInContainer(other.Spec.StandIn.Container, other.Status.Ports, &pod)
		if missing == "" && too == "" && mine == theirs {
			return mine
		}
	}
	return ""
}

// replacedBy is why an Intercept cannot stop a container that another one stops.
func replacedBy(ic, other *v1alpha1.Intercept, container string) *problem.Problem {
	then := ""
	if ic.Spec.User == other.Spec.User {
		then = "; that one is yours: leave it first"
	}
	return problem.New(v1alpha1.ReasonPortTaken, "container %s of %s is replaced by %s since %s (intercept %s)%s", container, resolve.RefString(ic.Spec.Workload),
		other.Spec.User, other.CreationTimestamp.UTC().Format("2006-01-02 15:04:05 UTC"), other.Name, then)
}
