package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/denial"
	"github.com/kubectl-intercept/kubectl-intercept/manager/inject"
	"github.com/kubectl-intercept/kubectl-intercept/manager/plan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/podstatus"
	"github.com/kubectl-intercept/kubectl-intercept/manager/problem"
	"github.com/kubectl-intercept/kubectl-intercept/manager/replacement"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// attachment is one pass over the pods of an Intercept. It brings agents into pods that
// have none, and counts.
type attachment struct {
	r        *Intercepts
	ic       *v1alpha1.Intercept
	d        *decision
	ports    []v1alpha1.ResolvedPort // whose callers are to come to the agents
	workload *resolve.Workload
	pods     []corev1.Pod // those that have one of the ports
	// abandoned is why no agent is brought any more.
	abandoned *problem.Problem

	bare  []*corev1.Pod    // pods that are to get a sidecar
	mute  *problem.Problem // a sidecar does not report
	again time.Duration    // when to reconcile again; 0 for not before something changes
}

// attach brings an agent into every running pod that has none, and counts the pods. It
// returns when to reconcile again.
func (r *Intercepts) attach(ctx context.Context, ic *v1alpha1.Intercept, d *decision, w *resolve.Workload, all []corev1.Pod) (time.Duration, error) {
	a := &attachment{r: r, ic: ic, d: d, ports: d.captured(), workload: w}
	a.pods = slices.DeleteFunc(slices.Clone(all), func(p corev1.Pod) bool { return !concerns(a.ports, &p) })
	before := injection{ic.Status.Injection, ic.Status.InjectionReason}
	if len(a.pods) == 0 && len(all) > 0 {
		d.injection = before
		d.progress.problem = problem.New(v1alpha1.ReasonAttaching, "no pod of %s has port %s; the intercept begins with the first that has", w, portNames(a.ports))
		return 0, nil
	}
	d.injection = choose(ic.Spec.Inject, before, a.ports, a.pods)
	if missing := missingKey(ic, d.ports, a.pods); missing != "" && d.injection.mode == v1alpha1.InjectEphemeral {
		if ic.Spec.Inject == v1alpha1.InjectEphemeral {
			d.progress.problem = problem.New(v1alpha1.ReasonNotSupported, "an ephemeral agent cannot have the Secret %s, which an annotation of %s names: "+
				"use --inject sidecar, or mount the Secret into a container of the pod template", missing, w)
			return 0, nil
		}
		d.injection = injection{v1alpha1.InjectSidecar, "the pods have no volume of the Secret " + missing + ", which an annotation names"}
	}
	if p := a.unanswered(); p != nil && d.injection.mode == v1alpha1.InjectSidecar {
		d.progress.problem = p
		return 0, nil
	}
	if a.abandoned = r.Replacer.AbandonedReason(ic); a.abandoned != nil {
		d.injection = injection{}
	}
	for i := range a.pods {
		if err := a.attachOne(ctx, &a.pods[i]); err != nil {
			return 0, err
		}
	}
	err := a.finish(ctx, before.mode)
	return a.again, err
}

// attachOne brings an agent into one pod if it has none, and counts the pod.
func (a *attachment) attachOne(ctx context.Context, pod *corev1.Pod) error {
	if why := resolve.Forbidden(pod.Annotations); why != "" {
		a.d.progress.problem = problem.New(v1alpha1.ReasonInjectionDisabled, "pod %s cannot be intercepted: %s", pod.Name, why)
		return nil
	}
	covered := replacement.Covered(a.ports, pod)
	if !podstatus.Runs(pod) { // its change to Running is reconciled again
		if a.d.injection.mode == v1alpha1.InjectEphemeral && !covered && !bypassed(a.ports, pod) {
			a.r.Agents.bringEarly(ctx, pod)
		}
		return nil
	}
	if pod.Spec.HostNetwork {
		a.d.progress.problem = problem.New(v1alpha1.ReasonHostNetwork, "pod %s uses the node's network and cannot be intercepted", pod.Name)
		return nil
	}
	a.d.progress.pods++
	if !covered && (a.d.injection.mode == v1alpha1.InjectSidecar || a.abandoned != nil) {
		a.bare = append(a.bare, pod)
		return nil
	}
	report := reportOf(a.d.reports, pod)
	if report != nil && (covered || inject.Observe(pod).Running) {
		a.count(pod, report)
		return nil
	}
	a.again = 5 * time.Second
	silence := time.Duration(0)
	if !covered || podstatus.Ready(pod) { // a sidecar may start as late as the rest of the pod
		silence = a.r.Agents.silences.observe(pod)
	}
	if why := neverComes(pod, silence); why != "" {
		a.d.progress.pods--
		a.d.progress.lost = append(a.d.progress.lost, fmt.Sprintf("pod %s is left out: %s; %s", pod.Name, why, podstatus.Hint(pod)))
		if !covered && !inject.Entered(pod) {
			a.r.Agents.bring(ctx, pod, silence) // for when the node is back
		}
		return nil
	}
	if covered { // its sidecar is being started; Replace says what keeps it
		if silence > sidecarPatience {
			a.mute = problem.New(v1alpha1.ReasonAgentFailed, "pod %s: its sidecar does not report; if another installation of the traffic-manager made it, delete the pod", pod.Name)
		}
		return nil
	}
	return a.bring(ctx, pod, silence)
}

// count counts a pod whose agent reports.
func (a *attachment) count(pod *corev1.Pod, report *v1alpha1.PodStatus) {
	a.r.Agents.silences.end(pod)
	p := &a.d.progress
	p.serving++
	switch {
	case report.State == v1alpha1.PodError:
		p.problem = problem.New(v1alpha1.ReasonAgentFailed, "pod %s: %s", pod.Name, report.Message)
		if strings.HasPrefix(report.Message, rpc.OlderAgent) {
			p.problem.Message += "; delete the pod, and the one that is made in its place gets an agent of this version"
		}
	case plan.Proven(a.ports, pod, a.d.reports):
		p.active++
	}
	left := podstatus.SteadyIn(pod)
	if left > 0 && a.again == 0 {
		a.again = left
	}
	if left > 0 || !podstatus.Ready(pod) {
		p.unready = append(p.unready, pod)
	}
}

// bring brings an ephemeral agent into a pod. Where it is refused and the spec leaves the
// choice, a sidecar is next.
func (a *attachment) bring(ctx context.Context, pod *corev1.Pod, silence time.Duration) error {
	if bypassed(a.ports, pod) {
		a.d.progress.problem = problem.New(v1alpha1.ReasonNotSupported, "pod %s has a sidecar, beside which an ephemeral agent can do nothing: use --inject auto or sidecar", pod.Name)
		return nil
	}
	p := a.r.Agents.bring(ctx, pod, silence)
	switch {
	case p == nil:
		return nil
	case a.ic.Spec.Inject == v1alpha1.InjectEphemeral || p.Reason != v1alpha1.ReasonPodSecurity && p.Reason != v1alpha1.ReasonForbidden:
		a.d.progress.problem = p
		return nil
	}
	obstacle, err := a.r.sidecarObstacle(ctx, a.ports, a.workload, a.pods)
	if err != nil {
		return err
	}
	if obstacle == nil {
		obstacle = a.unanswered()
	}
	if obstacle != nil {
		a.d.progress.problem = problem.New(p.Reason, "%s; and %s", p.Message, obstacle.Message)
		return nil
	}
	a.d.injection = injection{v1alpha1.InjectSidecar, refusedBecause(p)}
	a.bare = append(a.bare, pod)
	return nil
}

// refusedBecause is a refusal of an ephemeral container in half a sentence.
func refusedBecause(p *problem.Problem) string {
	if p.Reason == v1alpha1.ReasonPodSecurity {
		return "the pod security level of the namespace refuses an ephemeral container"
	}
	return denial.By(p.Message) + " refuses an ephemeral container"
}

// finish brings sidecars, once attachOne was called for every pod.
func (a *attachment) finish(ctx context.Context, before v1alpha1.InjectMode) error {
	if a.abandoned != nil {
		a.d.progress.problem = a.abandoned
		_, err := a.r.Mesh.apply(ctx, a.workload, a.pods) // no callers for agents that are not there
		return err
	}
	if a.d.progress.problem != nil {
		return nil
	}
	if a.d.progress.problem = a.mute; a.d.injection.mode != v1alpha1.InjectSidecar {
		return nil
	}
	p, err := a.sidecars(ctx, before)
	if p != nil {
		a.d.progress.problem, a.again = p, time.Second
	}
	if a.r.Replacer.AbandonedReason(a.ic) != nil { // just now
		a.d.injection = injection{}
	}
	return err
}

// sidecars has pods without a sidecar replaced. It returns what is waited for, or what
// is wrong.
func (a *attachment) sidecars(ctx context.Context, before v1alpha1.InjectMode) (*problem.Problem, error) {
	if p, err := a.r.Mesh.apply(ctx, a.workload, a.pods); p != nil || err != nil {
		return p, err
	}
	if len(a.bare) > 0 {
		p, err := a.r.sidecarObstacle(ctx, a.ports, a.workload, a.pods)
		if p != nil || err != nil {
			return p, err
		}
	}
	if before != v1alpha1.InjectSidecar { // the webhook cannot know before the status is written
		if len(a.bare) == 0 {
			return nil, nil
		}
		return problem.New(v1alpha1.ReasonReplacing, "replacing pods by ones with a sidecar"), nil
	}
	return a.r.Replacer.Replace(ctx, replacement.Task{Intercept: a.ic, Ports: a.ports, Workload: a.workload, Pods: a.pods, Bare: a.bare}), nil
}
