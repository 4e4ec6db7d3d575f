package controller

import (
	"cmp"
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/inject"
	"github.com/kubectl-intercept/kubectl-intercept/manager/podstatus"
	"github.com/kubectl-intercept/kubectl-intercept/manager/problem"
)

// standIn finds the pod that the laptop stands in for, and brings an agent into its
// container. It returns nil if the spec asks for none, and when to reconcile again.
func (r *Intercepts) standIn(ctx context.Context, ic *v1alpha1.Intercept, d *decision, w *resolve.Workload, pods []corev1.Pod) (*v1alpha1.StandInStatus, time.Duration) {
	if ic.Spec.StandIn == nil {
		return nil, 0
	}
	s := &v1alpha1.StandInStatus{ObservedGeneration: ic.Generation}
	why := r.bringStandIn(ctx, ic, d, w, pods, s)
	if why == nil {
		return s, 0
	}
	s.Reason, s.Message = why.Reason, why.Message
	if v1alpha1.MeaningOf(why.Reason).Fails() {
		return s, 5 * time.Second
	}
	return s, 0
}

// bringStandIn chooses the pod and the container, and brings an agent beside it. It returns
// why the laptop cannot reach the container yet.
func (r *Intercepts) bringStandIn(ctx context.Context, ic *v1alpha1.Intercept, d *decision, w *resolve.Workload, pods []corev1.Pod, s *v1alpha1.StandInStatus) *problem.Problem {
	pod := standInPod(ic.Status.StandIn, pods)
	if pod == nil {
		return problem.New(v1alpha1.ReasonNoPods, "%s", cmp.Or(nobody(w, pods), fmt.Sprintf("no pod of %s runs", w)))
	}
	if why := resolve.Forbidden(pod.Annotations); why != "" {
		return problem.New(v1alpha1.ReasonForbidden, "pod %s cannot be intercepted: %s", pod.Name, why)
	}
	s.Pod, s.UID = pod.Name, pod.UID
	var missing string
	if s.Container, missing = resolve.StandInContainer(ic.Spec.StandIn.Container, d.ports, pod); missing != "" {
		return problem.New(v1alpha1.ReasonNoContainer, "%s", missing)
	}
	if !d.connected {
		return problem.New(v1alpha1.ReasonDisconnected, "the laptop is not connected")
	}
	if d.mode == v1alpha1.ModeReplace && d.hopeless() {
		return d.progress.problem // the agent would have nothing to do, and cannot be taken out again
	}
	if p := r.Agents.bringStandIn(ctx, pod, s.Container); p != nil {
		return p
	}
	if !inject.StandInRuns(pod, s.Container) {
		return problem.New(v1alpha1.ReasonAttaching, "an agent is being started beside container %s of pod %s", s.Container, pod.Name)
	}
	return nil
}

// standInPod is the pod from before as long as it runs, and else the oldest of those that
// are ready, or of those that run if none is.
func standInPod(before *v1alpha1.StandInStatus, pods []corev1.Pod) *corev1.Pod {
	var best *corev1.Pod
	for i := range pods {
		pod := &pods[i]
		if !podstatus.Runs(pod) || pod.DeletionTimestamp != nil {
			continue
		}
		if before != nil && before.UID == pod.UID {
			return pod
		}
		if best == nil || preferred(pod, best) {
			best = pod
		}
	}
	return best
}

func preferred(a, b *corev1.Pod) bool {
	if ready := podstatus.Ready(a); ready != podstatus.Ready(b) {
		return ready
	}
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name)) < 0
}
