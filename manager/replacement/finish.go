package replacement

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/orphan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/podstatus"
	"github.com/kubectl-intercept/kubectl-intercept/manager/problem"
)

// finish goes on with an orphan. It is drained when its successor is ready, and
// adopted again when it will have none.
func (r *Replacer) finish(ctx context.Context, t *Task, old *corev1.Pod, last *lastAction) (*problem.Problem, error) {
	mark, ok := orphan.Read(old)
	if !ok {
		return r.evict(ctx, old, last, replacing(old))
	}
	inherits := func(*corev1.Pod) bool { return true }
	if t.Workload.Ref.Kind == "Service" && mark.Owner != nil { // it has pods of others, too
		w, err := r.workloadOf(ctx, old, mark.Owner)
		if apierrors.IsNotFound(err) {
			return waiting("%s", removing(old)), r.readopt(ctx, old, last, mark)
		}
		if err != nil {
			return nil, err
		}
		inherits = w.Matches
	}
	fresh := newest(t.Pods, func(p *corev1.Pod) bool { return inherits(p) && since(p, mark) })
	switch {
	case fresh == nil:
		p, err := r.refusedCreation(ctx, t.Workload.Namespace, mark.Owner, mark.At.Time)
		if p != nil {
			return p, r.readopt(ctx, old, last, mark)
		}
		return waiting("%s", replacing(old)), err
	case !t.covered(fresh):
		return webhookMissed(fresh), r.readopt(ctx, old, last, mark)
	case podstatus.Ready(fresh):
		return r.drain(ctx, old, last, mark, replacing(old))
	}
	switch p, err := r.hindrance(ctx, fresh, time.Now()); {
	case err != nil:
		return nil, err
	case p != nil && p.Reason == v1alpha1.ReasonReplacing:
		return waiting("%s: %s", replacing(old), p.Message), nil
	case p != nil:
		return p, r.readopt(ctx, old, last, mark)
	}
	return waiting("%s: waiting for pod %s to be ready", replacing(old), fresh.Name), nil
}

// newest is the newest of the pods that are wanted and are no orphans; nil if there is
// none.
func newest(pods []corev1.Pod, wanted func(*corev1.Pod) bool) *corev1.Pod {
	var found *corev1.Pod
	for i := range pods {
		p := &pods[i]
		if p.Labels[orphan.Label] == "" && wanted(p) && (found == nil || p.CreationTimestamp.After(found.CreationTimestamp.Time)) {
			found = p
		}
	}
	return found
}

// since says that a pod was made after another had become an orphan. Times of creation
// are whole seconds.
func since(p *corev1.Pod, m orphan.Mark) bool {
	return !p.CreationTimestamp.Time.Before(m.At.Truncate(time.Second))
}

// draining waits while nodes may still send callers to a pod without a sidecar; nil
// when there is none left.
func (r *Replacer) draining(ctx context.Context, t *Task, last *lastAction) (*problem.Problem, error) {
	if time.Since(last.evicted) < drainTime {
		return waiting("replacing pods by ones with a sidecar: waiting until the last callers have left the pod that was evicted"), nil
	}
	orphans, err := r.orphans(ctx, t.Intercept)
	if err != nil {
		return nil, err
	}
	for _, p := range orphans {
		if p.DeletionTimestamp == nil {
			return waiting("replacing pods by ones with a sidecar: waiting until the last callers have left pod %s", p.Name), nil
		}
	}
	return nil, nil
}
