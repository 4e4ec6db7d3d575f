package controller

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/release"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

const (
	// settleDown is how long caches may be behind what was done last.
	settleDown = time.Second
	// drainTime is how long it takes until no node leads callers to a pod that
	// no Service selects, or that was evicted.
	drainTime = 2 * time.Second
	// rescheduleTime is how long the scheduler may take to try again once a pod has
	// made room: longer than its longest pause, which is ten seconds.
	rescheduleTime = 15 * time.Second
)

// want is since when pods are to have a sidecar for a spec.
type want struct {
	generation int64
	at         time.Time
}

// replace brings the sidecar into the workload's pods, one at a time and
// without touching the workload: it returns how far things are, or what is
// wrong. Bare are the pods that have none.
func (r *Intercepts) replace(ctx context.Context, ic *v1alpha1.Intercept, w *resolve.Workload, pods []corev1.Pod, bare []*corev1.Pod) *problem {
	r.replacing.Lock()
	defer r.replacing.Unlock()
	r.prepare()
	if p := r.failure(ic, w, pods, bare); p != nil {
		return p
	}
	old := slices.IndexFunc(pods, func(p corev1.Pod) bool { return p.Labels[release.Label] != "" })
	if since := time.Since(r.acted[w.UID]); since < settleDown {
		return wait(cmp.Or(r.said[w.UID], "replacing pods by ones with a sidecar"))
	}
	var p *problem
	var err error
	if old >= 0 {
		p, err = r.follow(ctx, ic, w, &pods[old], pods)
	} else {
		p, err = r.begin(ctx, ic, w, pods, bare)
	}
	if p == nil && err == nil {
		p, err = r.draining(ctx, ic, w)
	}
	switch {
	case err != nil:
		return wait(fmt.Sprintf("replacing pods by ones with a sidecar: %v", err))
	case p != nil && p.reason == v1alpha1.ReasonReplacing:
		r.said[w.UID] = p.message
	case p != nil && p.reason != v1alpha1.ReasonDisruptionBudget && old < 0 && r.evictedFor(ic, w):
		return r.abandon(ic, p)
	case p != nil && p.reason != v1alpha1.ReasonDisruptionBudget:
		life := min(max(2*r.failed[string(ic.UID)].life, failureLife), longestFailure)
		r.failed[string(ic.UID)] = failure{ic.Generation, time.Now().Add(life), life, p}
	case p == nil:
		r.forget(ic)
	}
	return p
}

// prepare makes the maps; the caller holds r.replacing.
func (r *Intercepts) prepare() {
	if r.failed == nil {
		r.failed, r.wanted = map[string]failure{}, map[string]want{}
		r.acted, r.evicted, r.going = map[types.UID]time.Time{}, map[types.UID]time.Time{}, map[types.UID]time.Time{}
		r.said = map[types.UID]string{}
	}
}

// giveUp forgets what was being done for an intercept that ends: a pod that was
// let go comes back, and what was made in its place goes if it is one too many.
func (r *Intercepts) giveUp(ctx context.Context, ic *v1alpha1.Intercept) error {
	r.replacing.Lock()
	defer r.replacing.Unlock()
	r.forget(ic)
	r.mu.Lock()
	delete(r.abandoned, ic.UID)
	r.mu.Unlock()
	var list corev1.PodList
	if err := r.Client.List(ctx, &list, client.InNamespace(ic.Namespace), client.MatchingLabels{release.Label: string(ic.UID)}); err != nil {
		return err
	}
	for i := range list.Items {
		p := &list.Items[i]
		how, ok := release.Read(p)
		if !ok || p.DeletionTimestamp != nil || how.Drained != nil {
			continue
		}
		if err := r.takeBack(ctx, nil, p, how); err != nil {
			return err
		}
	}
	return nil
}

func wait(message string) *problem { return &problem{v1alpha1.ReasonReplacing, message} }

// begin takes the next pod. A pod that a ReplicaSet can be made to let go of
// stays until the new one is ready; others are evicted.
func (r *Intercepts) begin(ctx context.Context, ic *v1alpha1.Intercept, w *resolve.Workload, pods []corev1.Pod, bare []*corev1.Pod) (*problem, error) {
	since, known := r.wanted[string(ic.UID)]
	if !known || since.generation != ic.Generation {
		since = want{ic.Generation, time.Now()}
		r.wanted[string(ic.UID)] = since
	}
	for i := range pods {
		p := &pods[i]
		if covered(ic, p) {
			problem, err := r.hindrance(ctx, p, time.Now())
			if problem != nil && problem.reason == v1alpha1.ReasonUnschedulable {
				problem, err = r.room(ctx, w, p, problem)
			}
			if problem != nil || err != nil {
				return problem, err
			}
		}
		if !covered(ic, p) && p.CreationTimestamp.After(since.at.Truncate(time.Second).Add(time.Second)) {
			return unreached(p), nil
		}
	}
	if len(bare) == 0 && time.Since(r.acted[w.UID]) > failureLife {
		return nil, nil
	}
	if len(pods) < int(w.Replicas) || len(pods) == 0 && w.NoPods() != nil {
		if p, err := r.refusedCreation(ctx, w.Namespace, maker(w, pods), cmp.Or(r.acted[w.UID], time.Now())); p != nil || err != nil {
			return p, err
		}
		return wait("replacing pods by ones with a sidecar: waiting for the new pod"), nil
	}
	if w.Ref.Kind == "Service" {
		asked := map[types.UID]bool{}
		for _, p := range bare {
			owner := metav1.GetControllerOf(p)
			if owner == nil || asked[owner.UID] {
				continue
			}
			asked[owner.UID] = true
			if problem, err := r.short(ctx, w, p, owner); problem != nil || err != nil {
				return problem, err
			}
		}
	}
	bare, byHand, err := r.evictable(ctx, w, bare)
	if err != nil {
		return nil, err
	}
	coming := func(p corev1.Pod) bool { return covered(ic, &p) && !ready(&p) }
	if len(bare) == 0 && byHand != nil && !slices.ContainsFunc(pods, coming) {
		return byHand, nil
	}
	if k := slices.IndexFunc(bare, func(p *corev1.Pod) bool { return !ready(p) }); k >= 0 { // it serves nobody, and may never
		return r.evict(ctx, w, bare[k], "replacing pod "+bare[k].Name+" by one with a sidecar")
	}
	for i := range pods {
		if !ready(&pods[i]) && !unanswered(&pods[i]) {
			return wait(fmt.Sprintf("replacing pods by ones with a sidecar: waiting for pod %s to be ready", pods[i].Name)), nil
		}
	}
	if len(bare) == 0 {
		return nil, nil
	}
	victim := bare[0]
	labels, err := r.hold(ctx, victim)
	if err != nil {
		return nil, err
	}
	// Whether anything denies its eviction is found out before anything is begun.
	if p, err := r.evict(ctx, w, victim, "", client.DryRunAll); err != nil || p.reason == v1alpha1.ReasonEvictionDenied {
		return p, err
	}
	if len(labels) == 0 {
		return r.evict(ctx, w, victim, "replacing pod "+victim.Name+" by one with a sidecar"+r.interruption(ctx, w, victim))
	}
	return wait("replacing pod " + victim.Name + " by one with a sidecar"), r.letGo(ctx, string(ic.UID), w, victim, labels)
}

// short waits while the workload of a pod has fewer pods than it wants. A Service
// does not say how many it wants: those whose pods it selects do.
func (r *Intercepts) short(ctx context.Context, w *resolve.Workload, p *corev1.Pod, owner *metav1.OwnerReference) (*problem, error) {
	o, err := r.workloadOf(ctx, p, owner)
	if err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	own, err := o.Pods(ctx, r.Client)
	if err != nil || len(own) >= int(o.Replicas) {
		return nil, err
	}
	if refused, err := r.refusedCreation(ctx, w.Namespace, owner, cmp.Or(r.acted[w.UID], time.Now())); refused != nil || err != nil {
		return refused, err
	}
	return wait("replacing pods by ones with a sidecar: waiting for the new pod of " + o.String()), nil
}

// room is why a pod has no node: the one that was evicted for it may still be
// going, or has gone so lately that the scheduler has not tried again.
func (r *Intercepts) room(ctx context.Context, w *resolve.Workload, p *corev1.Pod, why *problem) (*problem, error) {
	var list corev1.PodList
	if err := r.Client.List(ctx, &list, client.InNamespace(p.Namespace)); err != nil {
		return nil, err
	}
	owner := metav1.GetControllerOf(p)
	for _, old := range list.Items {
		if by := metav1.GetControllerOf(&old); old.DeletionTimestamp != nil && by != nil && owner != nil && by.UID == owner.UID {
			r.going[w.UID] = time.Now()
		}
	}
	since := r.evicted[w.UID]
	if r.going[w.UID].After(since) {
		since = r.going[w.UID]
	}
	if time.Since(since) < rescheduleTime {
		return wait(fmt.Sprintf("waiting for the place of the pod that was evicted, for pod %s with the sidecar", p.Name)), nil
	}
	return why, nil
}

// maker is the controller that makes the workload's pods; nil when there is no telling.
func maker(w *resolve.Workload, pods []corev1.Pod) *metav1.OwnerReference {
	if slices.Contains([]string{"StatefulSet", "DaemonSet", "ReplicaSet"}, w.Ref.Kind) {
		return &metav1.OwnerReference{Kind: w.Ref.Kind, Name: w.Ref.Name, UID: w.UID}
	}
	for i := range pods {
		if owner := metav1.GetControllerOf(&pods[i]); owner != nil {
			return owner
		}
	}
	return nil
}

// follow looks after a pod that was let go: it goes when the new one is ready,
// and comes back when there will be none.
func (r *Intercepts) follow(ctx context.Context, ic *v1alpha1.Intercept, w *resolve.Workload, old *corev1.Pod, pods []corev1.Pod) (*problem, error) {
	how, ok := release.Read(old)
	if !ok {
		return r.evict(ctx, w, old, "replacing pod "+old.Name+" by one with a sidecar")
	}
	heir := func(*corev1.Pod) bool { return true }
	if w.Ref.Kind == "Service" && how.Owner != nil { // it has pods of others, too
		o, err := r.workloadOf(ctx, old, how.Owner)
		if apierrors.IsNotFound(err) {
			return wait("removing pod " + old.Name), r.takeBack(ctx, w, old, how)
		}
		if err != nil {
			return nil, err
		}
		heir = o.Matches
	}
	var fresh *corev1.Pod
	for i := range pods {
		p := &pods[i]
		if p.Labels[release.Label] != "" || !heir(p) {
			continue
		}
		if !p.CreationTimestamp.Time.Before(how.At.Truncate(time.Second)) && (fresh == nil || p.CreationTimestamp.After(fresh.CreationTimestamp.Time)) {
			fresh = p
		}
	}
	doing := "replacing pod " + old.Name + " by one with a sidecar"
	switch {
	case fresh == nil:
		p, err := r.refusedCreation(ctx, w.Namespace, how.Owner, how.At.Time)
		if p != nil {
			return p, r.takeBack(ctx, w, old, how)
		}
		return wait(doing), err
	case !covered(ic, fresh):
		return unreached(fresh), r.takeBack(ctx, w, old, how)
	case ready(fresh):
		return r.drain(ctx, w, old, how, doing)
	}
	switch p, err := r.hindrance(ctx, fresh, time.Now()); {
	case err != nil:
		return nil, err
	case p != nil && p.reason == v1alpha1.ReasonReplacing:
		return wait(doing + ": " + p.message), nil
	case p != nil:
		return p, r.takeBack(ctx, w, old, how)
	}
	return wait(fmt.Sprintf("%s: waiting for pod %s to be ready", doing, fresh.Name)), nil
}

// drain takes a pod whose successor is ready out of its Services, if its going
// is allowed; the Janitor evicts it when callers have gone elsewhere.
func (r *Intercepts) drain(ctx context.Context, w *resolve.Workload, p *corev1.Pod, how release.Mark, doing string) (*problem, error) {
	if problem, err := r.evict(ctx, w, p, doing, client.DryRunAll); err != nil || problem.reason != v1alpha1.ReasonReplacing {
		return problem, err
	}
	how.Drained = ptr.To(metav1.Now())
	text, err := json.Marshal(how)
	if err != nil {
		return nil, err
	}
	fresh := p.DeepCopy()
	fresh.Labels = map[string]string{release.Label: p.Labels[release.Label]}
	metav1.SetMetaDataAnnotation(&fresh.ObjectMeta, release.Annotation, string(text))
	if err := r.Client.Patch(ctx, fresh, client.MergeFromWithOptions(p, client.MergeFromWithOptimisticLock{})); err != nil {
		return nil, err
	}
	if w != nil {
		r.acted[w.UID] = time.Now()
	}
	return wait(doing), nil
}

// draining says that callers may still be led to a pod without a sidecar; nil
// when there is none left. The Janitor sees to its going.
func (r *Intercepts) draining(ctx context.Context, ic *v1alpha1.Intercept, w *resolve.Workload) (*problem, error) {
	if time.Since(r.evicted[w.UID]) < drainTime {
		return wait("replacing pods by ones with a sidecar: waiting until the last callers have left the pod that was evicted"), nil
	}
	var list corev1.PodList
	if err := r.Client.List(ctx, &list, client.InNamespace(ic.Namespace), client.MatchingLabels{release.Label: string(ic.UID)}); err != nil {
		return nil, err
	}
	for _, p := range list.Items {
		if p.DeletionTimestamp == nil {
			return wait("replacing pods by ones with a sidecar: waiting until the last callers have left pod " + p.Name), nil
		}
	}
	return nil, nil
}

// evict removes a pod as far as the PodDisruptionBudgets allow.
func (r *Intercepts) evict(ctx context.Context, w *resolve.Workload, p *corev1.Pod, doing string, opts ...client.SubResourceCreateOption) (*problem, error) {
	err := release.Evict(ctx, r.Client, p, opts...)
	switch {
	case err == nil && len(opts) > 0:
		return wait(doing), nil
	case err == nil:
		r.Log.Info("pod evicted", "namespace", p.Namespace, "pod", p.Name)
		if w != nil {
			r.acted[w.UID] = time.Now()
			r.evicted[w.UID] = r.acted[w.UID]
		}
		return wait(doing), nil
	case apierrors.IsNotFound(err), apierrors.IsConflict(err):
		return wait(doing), nil
	case apierrors.IsTooManyRequests(err):
		return &problem{v1alpha1.ReasonDisruptionBudget, fmt.Sprintf("%s: a PodDisruptionBudget does not let it go yet: %v", doing, err)}, nil
	case denied(err):
		return &problem{v1alpha1.ReasonEvictionDenied, fmt.Sprintf("%s does not let pod %s be evicted, which a sidecar needs: %v; "+
			"have the traffic-manager admitted there, delete the pod yourself (kubectl delete pod %s -n %s) to have it made anew with a sidecar, or use --inject ephemeral",
			whoDenied(err.Error()), p.Name, err, p.Name, p.Namespace)}, nil
	}
	return nil, err
}
