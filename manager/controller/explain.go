package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/podstatus"
	"github.com/kubectl-intercept/kubectl-intercept/manager/problem"
)

// progress counts the pods of a workload by how far their agents are.
type progress struct {
	pods    int // that run
	serving int // whose agent reports on this Intercept
	active  int // whose redirect is proven
	problem *problem.Problem

	lost    []string      // sentences about pods that are not waited for
	unready []*corev1.Pod // running pods that are not ready, or do not stay ready

	nobody   string // why no pod runs
	unserved string // sentences about lost and unready pods
}

// explain writes the sentences of a decision's progress.
func (r *Intercepts) explain(ctx context.Context, ic *v1alpha1.Intercept, d *decision, w *resolve.Workload, pods []corev1.Pod) error {
	p := &d.progress
	if p.nobody = nobody(w, pods); p.pods == 0 && len(p.lost) > 0 {
		p.nobody = strings.Join(p.lost, "; ")
	}
	sentences := slices.Clone(p.lost)
	if len(p.unready) > 0 {
		anyway, err := r.servesUnready(ctx, ic.Namespace, d.ports)
		if err != nil {
			return err
		}
		if !anyway {
			sentences = append(sentences, p.away())
		}
	}
	p.unserved = strings.Join(sentences, "; ")
	return nil
}

// servesUnready says that a Service of the ports sends callers to pods that are not
// ready, too.
func (r *Intercepts) servesUnready(ctx context.Context, namespace string, ports []v1alpha1.ResolvedPort) (bool, error) {
	for _, p := range ports {
		if p.Service == "" {
			continue
		}
		var s corev1.Service
		err := r.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: p.Service}, &s)
		if client.IgnoreNotFound(err) != nil {
			return false, err
		}
		if err == nil && s.Spec.PublishNotReadyAddresses {
			return true, nil
		}
	}
	return false, nil
}

// shown is how many pods a sentence about pods that are not ready names.
const shown = 3

// away says which running pods are not ready, or do not stay ready, and why. There is
// at least one.
func (p *progress) away() string {
	first := p.unready[0]
	if len(p.unready) == 1 {
		state := "is not ready, so Services send it nothing"
		if podstatus.Ready(first) {
			state = "does not stay ready, so Services send it nothing most of the time"
		}
		return fmt.Sprintf("pod %s %s: %s; %s", first.Name, state, podstatus.WhyUnready(first), podstatus.Hint(first))
	}
	var each []string
	for _, pod := range p.unready[:min(shown, len(p.unready))] {
		each = append(each, "pod "+pod.Name+": "+podstatus.WhyUnready(pod))
	}
	state := "are not ready, so Services send them nothing"
	if slices.ContainsFunc(p.unready, podstatus.Ready) {
		state = "are not ready or do not stay ready, so Services send them nothing most of the time"
	}
	return fmt.Sprintf("%d of %d pods %s: %s; %s", len(p.unready), p.pods, state, strings.Join(each, "; "), podstatus.Hint(first))
}

// nobody says why no pod of the workload can be intercepted now.
func nobody(w *resolve.Workload, pods []corev1.Pod) string {
	const then = "the intercept begins with the first pod that runs"
	if k := slices.IndexFunc(pods, func(p corev1.Pod) bool { return !podstatus.Runs(&p) }); k >= 0 {
		return fmt.Sprintf("pod %s %s; %s", pods[k].Name, podstatus.WhyPending(&pods[k]), then)
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
