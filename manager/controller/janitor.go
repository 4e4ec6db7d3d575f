package controller

import (
	"context"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/release"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

const (
	tidyEvery = time.Second
	// leaving is the value of release.Label on a pod whose agent is to go.
	leaving = "leaving"
	// successorTime is how long the successor of such a pod may take to be
	// ready, before the pod is kept after all.
	successorTime = 2 * time.Minute
)

// Janitor finishes what replacing pods leaves over, and takes sidecars out of
// pods where nothing needs them any more. The leader runs it.
type Janitor struct {
	*Intercepts
	// MaxIdle is how long a sidecar that no intercept needs stays; 0 for ever.
	MaxIdle time.Duration

	idle map[types.UID]time.Time // pods, since when nobody needs their sidecar
	kept map[types.UID]time.Time // pods whose eviction was denied, and when
}

// NeedLeaderElection says that one replica does this.
func (j *Janitor) NeedLeaderElection() bool { return true }

// Start tidies until ctx ends.
func (j *Janitor) Start(ctx context.Context) error {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := j.Tidy(ctx, time.Now()); err != nil && ctx.Err() == nil {
			j.Log.Warn("tidy up", "error", err)
		}
	}
}

// Tidy looks at every pod once.
func (j *Janitor) Tidy(ctx context.Context, now time.Time) error {
	j.replacing.Lock()
	defer j.replacing.Unlock()
	j.prepare()
	if j.kept == nil {
		j.kept = map[types.UID]time.Time{}
	}
	var pods corev1.PodList
	if err := j.Client.List(ctx, &pods); err != nil {
		return err
	}
	var intercepts v1alpha1.InterceptList
	if err := j.Client.List(ctx, &intercepts); err != nil {
		return err
	}
	going := map[string]bool{} // namespaces where a pod is under way: one at a time
	for i := range pods.Items {
		p := &pods.Items[i]
		if p.Labels[release.Label] == "" || p.DeletionTimestamp != nil {
			continue
		}
		going[p.Namespace] = true
		if err := j.follow(ctx, p, &intercepts, now); err != nil {
			j.Log.Warn("tidy up", "namespace", p.Namespace, "pod", p.Name, "error", err)
		}
	}
	seen := map[types.UID]time.Time{}
	for i := range pods.Items {
		p := &pods.Items[i]
		if p.DeletionTimestamp != nil || going[p.Namespace] || !j.superfluous(ctx, p, &intercepts, now, seen) {
			continue
		}
		going[p.Namespace] = true
		if err := j.leave(ctx, p); err != nil {
			j.Log.Warn("take sidecar out", "namespace", p.Namespace, "pod", p.Name, "error", err)
		}
	}
	j.idle = seen
	maps.DeleteFunc(j.kept, func(_ types.UID, at time.Time) bool { return now.Sub(at) > failureLife })
	return nil
}

// follow looks after a pod that was let go and whose Intercept does not,
// because it is gone, or wants no sidecar any more.
func (j *Janitor) follow(ctx context.Context, p *corev1.Pod, intercepts *v1alpha1.InterceptList, now time.Time) error {
	how, ok := release.Read(p)
	wanted := slices.ContainsFunc(intercepts.Items, func(ic v1alpha1.Intercept) bool {
		return string(ic.UID) == p.Labels[release.Label] && ic.Status.Injection == v1alpha1.InjectSidecar &&
			meta.IsStatusConditionTrue(ic.Status.Conditions, v1alpha1.ConditionResolved)
	})
	switch {
	case !ok:
		return nil // not our label
	case how.Drained != nil:
		if now.Sub(how.Drained.Time) < drainTime {
			return nil
		}
		_, err := j.evict(ctx, nil, p, "removing pod "+p.Name)
		return err
	case wanted:
		return nil
	case p.Labels[release.Label] != leaving:
		return j.takeBack(ctx, nil, p, how)
	}
	var list corev1.PodList
	if err := j.Client.List(ctx, &list, client.InNamespace(p.Namespace), client.MatchingLabels(how.Labels)); err != nil {
		return err
	}
	for i := range list.Items {
		s := &list.Items[i]
		if by := metav1.GetControllerOf(s); how.Owner != nil && (by == nil || by.UID != how.Owner.UID) {
			continue
		}
		if ready(s) && !s.CreationTimestamp.Time.Before(how.At.Truncate(time.Second)) {
			_, err := j.drain(ctx, nil, p, how, "removing pod "+p.Name)
			return err
		}
	}
	if now.Sub(how.At.Time) > successorTime {
		return j.takeBack(ctx, nil, p, how)
	}
	return nil
}

// superfluous says that a pod's sidecar is to go: an intercept brought it, none
// needs it, and it was idle for long enough, somebody has asked, or the pod does
// not come up with it. A pod that does not come up is not needed by intercepts
// that want no sidecar, or no longer.
func (j *Janitor) superfluous(ctx context.Context, p *corev1.Pod, intercepts *v1alpha1.InterceptList, now time.Time, seen map[types.UID]time.Time) bool {
	s := sidecar.Of(p)
	if s == nil || !s.OnDemand {
		return false
	}
	intercepted := false
	for i := range intercepts.Items {
		ic := &intercepts.Items[i]
		if ic.Namespace != p.Namespace {
			continue
		}
		if w, err := resolve.Get(ctx, j.Client, ic.Namespace, ic.Spec.Workload); err != nil || !w.Matches(p) {
			continue
		}
		if ready(p) || ic.Status.Injection == v1alpha1.InjectSidecar {
			return false
		}
		intercepted = true
	}
	if intercepted {
		return diagnose(p) != nil
	}
	since, ok := j.idle[p.UID]
	if !ok {
		since = now
	}
	seen[p.UID] = since
	if !ready(p) && diagnose(p) != nil {
		return true
	}
	return p.Annotations[sidecar.LeaveAnnotation] != "" || j.MaxIdle > 0 && now.Sub(since) >= j.MaxIdle
}

// leave has a pod made anew, without a sidecar: the webhook puts none into it.
func (j *Janitor) leave(ctx context.Context, p *corev1.Pod) error {
	owner := metav1.GetControllerOf(p)
	if owner == nil || !replaceable(owner.Kind) {
		return nil
	}
	w, err := j.workloadOf(ctx, p, owner)
	if err != nil {
		return err
	}
	if w.OnDelete && ready(p) && p.Annotations[sidecar.LeaveAnnotation] == "" {
		return nil // its strategy leaves that to people
	}
	if since := time.Since(j.acted[w.UID]); since < settleDown || time.Since(j.kept[p.UID]) < failureLife {
		return nil
	}
	pods, err := w.Pods(ctx, j.Client)
	if err != nil {
		return err
	}
	if len(pods) < int(w.Replicas) || slices.ContainsFunc(pods, func(o corev1.Pod) bool { return o.UID != p.UID && !ready(&o) }) {
		return nil // one after the other
	}
	if denied, err := j.evict(ctx, w, p, "removing pod "+p.Name, client.DryRunAll); err != nil || denied.reason == v1alpha1.ReasonEvictionDenied {
		if err == nil {
			j.kept[p.UID] = time.Now()
			j.Log.Warn("sidecar stays", "namespace", p.Namespace, "pod", p.Name, "reason", denied.message)
		}
		return err
	}
	labels, err := j.hold(ctx, p)
	if err != nil {
		return err
	}
	if len(labels) > 0 && ready(p) {
		return j.letGo(ctx, leaving, w, p, labels)
	}
	_, err = j.evict(ctx, w, p, "removing pod "+p.Name)
	return err
}
