package replacement

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/podstatus"
	"github.com/kubectl-intercept/kubectl-intercept/manager/problem"
)

// A failed attempt is repeated after firstRetry, then after twice as long each time,
// up to longestRetry.
const firstRetry, longestRetry = time.Minute, 30 * time.Minute

// attempt is what is known of bringing sidecars into pods for one generation of an
// Intercept.
type attempt struct {
	generation int64
	workload   types.UID
	// since is when the first pod was looked for; zero before that.
	since time.Time
	// problem is the last failure until the attempt is repeated, at retryAt.
	problem *problem.Problem
	retryAt time.Time
	// pause was between the last failure and its retryAt; 0 without a failure.
	pause time.Duration
}

// attempt returns the attempt for the present generation of an Intercept, a new one
// if there is none. The caller holds r.mu.
func (r *Replacer) attempt(ic *v1alpha1.Intercept) *attempt {
	if a := r.attempts[ic.UID]; a != nil && a.generation == ic.Generation {
		return a
	}
	return r.restart(ic)
}

// restart replaces the attempt by a new one. The caller holds r.mu.
func (r *Replacer) restart(ic *v1alpha1.Intercept) *attempt {
	if r.attempts == nil {
		r.attempts = map[types.UID]*attempt{}
	}
	a := &attempt{generation: ic.Generation}
	r.attempts[ic.UID] = a
	return a
}

func (a *attempt) failedBefore() bool { return a.pause > 0 }

// failing says that the last failure still stands.
func (a *attempt) failing() bool { return a.problem != nil && time.Now().Before(a.retryAt) }

// retry ends a failure. A pod without a sidecar does not count as new then: the
// webhook may have missed that pod only.
func (a *attempt) retry() {
	if a.problem != nil {
		a.problem, a.since = nil, time.Time{}
	}
}

func (a *attempt) fail(p *problem.Problem) {
	a.pause = min(max(2*a.pause, firstRetry), longestRetry)
	a.problem, a.retryAt = p, time.Now().Add(a.pause)
}

// evicted says that a pod of the workload was evicted for this attempt, or for another
// Intercept shortly before, so that nothing serves in place of a pod that does not
// come up.
func (a *attempt) evicted(last *lastAction) bool {
	return !a.since.IsZero() && !last.evicted.IsZero() && !last.evicted.Before(a.since.Add(-firstRetry))
}

// complete says that the workload has all of its pods, that they are ready, and that
// each has its sidecar.
func (t *Task) complete() bool {
	unready := func(p corev1.Pod) bool { return !podstatus.Ready(&p) }
	return len(t.Bare) == 0 && len(t.Pods) > 0 && len(t.Pods) >= int(t.Workload.Replicas) && !slices.ContainsFunc(t.Pods, unready)
}

// lastAction is what was done last with a workload's pods, and when.
type lastAction struct {
	acted   time.Time // a pod was changed
	evicted time.Time // a pod was evicted
	going   time.Time // a pod was seen that is being deleted
	awaited string    // what was waited for then
}

// last returns the last action on a workload's pods. The caller holds r.mu.
func (r *Replacer) last(w *resolve.Workload) *lastAction {
	last := r.workloads[w.UID]
	if last == nil {
		r.prune(time.Now())
		last = &lastAction{}
		if r.workloads == nil {
			r.workloads = map[types.UID]*lastAction{}
		}
		r.workloads[w.UID] = last
	}
	return last
}

// prune forgets the last actions that nothing depends on any more: those longer ago than
// firstRetry, on workloads for which there is no attempt. The caller holds r.mu.
func (r *Replacer) prune(now time.Time) {
	used := map[types.UID]bool{}
	for _, a := range r.attempts {
		used[a.workload] = true
	}
	maps.DeleteFunc(r.workloads, func(uid types.UID, last *lastAction) bool {
		recent := func(at time.Time) bool { return now.Sub(at) <= firstRetry }
		return !used[uid] && !recent(last.acted) && !recent(last.evicted) && !recent(last.going)
	})
}
