package replacement

import (
	"cmp"
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/podstatus"
	"github.com/kubectl-intercept/kubectl-intercept/manager/problem"
)

// begin replaces the next pod, once those that were replaced before are ready. A pod
// of a ReplicaSet becomes an orphan and stays until the new one is ready; others are
// evicted.
func (r *Replacer) begin(ctx context.Context, t *Task, a *attempt, last *lastAction) (*problem.Problem, error) {
	if a.since.IsZero() {
		a.since = time.Now()
	}
	if p, err := r.before(ctx, t, a, last); p != nil || err != nil {
		return p, err
	}
	if len(t.Bare) == 0 && time.Since(last.acted) > firstRetry {
		return nil, nil
	}
	if p, err := r.missing(ctx, t, last); p != nil || err != nil {
		return p, err
	}
	bare, byHand, err := r.evictable(ctx, t.Workload, t.Bare)
	if err != nil {
		return nil, err
	}
	coming := func(p corev1.Pod) bool { return t.covered(&p) && !podstatus.Ready(&p) }
	if len(bare) == 0 && byHand != nil && !slices.ContainsFunc(t.Pods, coming) {
		return byHand, nil
	}
	// A pod that is not ready serves no callers, and may never.
	if i := slices.IndexFunc(bare, func(p *corev1.Pod) bool { return !podstatus.Ready(p) }); i >= 0 {
		return r.evict(ctx, bare[i], last, replacing(bare[i]))
	}
	for i := range t.Pods {
		if p := &t.Pods[i]; !podstatus.Ready(p) && !podstatus.NodeSilent(p) {
			return waiting("replacing pods by ones with a sidecar: waiting for pod %s to be ready", p.Name), nil
		}
	}
	if len(bare) == 0 {
		return byHand, nil
	}
	return r.replace(ctx, t, bare[0], last)
}

// replace begins with a pod, if nothing denies its eviction.
func (r *Replacer) replace(ctx context.Context, t *Task, victim *corev1.Pod, last *lastAction) (*problem.Problem, error) {
	labels, err := r.removable(ctx, victim)
	if err != nil {
		return nil, err
	}
	if p, err := r.tryEvict(ctx, victim, replacing(victim)); err != nil || p.Reason == v1alpha1.ReasonEvictionDenied {
		return p, err
	}
	if len(labels) == 0 {
		return r.evict(ctx, victim, last, replacing(victim)+r.interruption(ctx, t.Workload, victim))
	}
	return waiting("%s", replacing(victim)), r.orphan(ctx, victim, last, string(t.Intercept.UID), labels)
}

// before says what is wrong with pods that were made before: they do not come up with
// their sidecar, or have none.
func (r *Replacer) before(ctx context.Context, t *Task, a *attempt, last *lastAction) (*problem.Problem, error) {
	for i := range t.Pods {
		p := &t.Pods[i]
		if !t.covered(p) {
			if p.CreationTimestamp.After(a.since.Truncate(time.Second).Add(time.Second)) {
				return webhookMissed(p), nil
			}
			continue
		}
		why, err := r.hindrance(ctx, p, time.Now())
		if why != nil && why.Reason == v1alpha1.ReasonUnschedulable {
			why, err = r.room(ctx, p, last, why)
		}
		if why != nil || err != nil {
			return why, err
		}
	}
	return nil, nil
}

// missing waits while there are fewer pods than wanted, or says why the missing one
// cannot be made.
func (r *Replacer) missing(ctx context.Context, t *Task, last *lastAction) (*problem.Problem, error) {
	w := t.Workload
	since := cmp.Or(last.acted, time.Now())
	if len(t.Pods) < int(w.Replicas) || len(t.Pods) == 0 && w.NoPods() != nil {
		if p, err := r.refusedCreation(ctx, w.Namespace, maker(t), since); p != nil || err != nil {
			return p, err
		}
		return waiting("replacing pods by ones with a sidecar: waiting for the new pod"), nil
	}
	if w.Ref.Kind != "Service" {
		return nil, nil
	}
	// A Service does not say how many pods it wants. The owners of its pods do.
	asked := map[types.UID]bool{}
	for _, p := range t.Bare {
		owner := metav1.GetControllerOf(p)
		if owner == nil || asked[owner.UID] {
			continue
		}
		asked[owner.UID] = true
		if why, err := r.missingOf(ctx, p, owner, since); why != nil || err != nil {
			return why, err
		}
	}
	return nil, nil
}

// missingOf is missing for the owner of a pod that a Service selects.
func (r *Replacer) missingOf(ctx context.Context, p *corev1.Pod, owner *metav1.OwnerReference, since time.Time) (*problem.Problem, error) {
	w, err := r.workloadOf(ctx, p, owner)
	if err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	own, err := w.Pods(ctx, r.Client)
	if err != nil || len(own) >= int(w.Replicas) {
		return nil, err
	}
	if refused, err := r.refusedCreation(ctx, p.Namespace, owner, since); refused != nil || err != nil {
		return refused, err
	}
	return waiting("replacing pods by ones with a sidecar: waiting for the new pod of %s", w), nil
}

// room waits for the node of a pod that was evicted: that pod may still be going, or
// may have gone so lately that the scheduler has not tried again. After that why
// stands.
func (r *Replacer) room(ctx context.Context, p *corev1.Pod, last *lastAction, why *problem.Problem) (*problem.Problem, error) {
	var list corev1.PodList
	if err := r.Client.List(ctx, &list, client.InNamespace(p.Namespace)); err != nil {
		return nil, err
	}
	owner := metav1.GetControllerOf(p)
	for _, old := range list.Items {
		if by := metav1.GetControllerOf(&old); old.DeletionTimestamp != nil && by != nil && owner != nil && by.UID == owner.UID {
			last.going = time.Now()
		}
	}
	since := last.evicted
	if last.going.After(since) {
		since = last.going
	}
	if time.Since(since) < rescheduleTime {
		return waiting("waiting for the place of the pod that was evicted, for pod %s with the sidecar", p.Name), nil
	}
	return why, nil
}

// maker is the controller that makes the workload's pods; nil when that is not known.
func maker(t *Task) *metav1.OwnerReference {
	w := t.Workload
	if slices.Contains([]string{"StatefulSet", "DaemonSet", "ReplicaSet"}, w.Ref.Kind) {
		return &metav1.OwnerReference{Kind: w.Ref.Kind, Name: w.Ref.Name, UID: w.UID}
	}
	for i := range t.Pods {
		if owner := metav1.GetControllerOf(&t.Pods[i]); owner != nil {
			return owner
		}
	}
	return nil
}

func replacing(p *corev1.Pod) string { return "replacing pod " + p.Name + " by one with a sidecar" }

func removing(p *corev1.Pod) string { return "removing pod " + p.Name }
