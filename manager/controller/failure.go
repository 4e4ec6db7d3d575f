package controller

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

const (
	// failureLife is how long a failed injection is not tried again, twice as
	// long each time, up to longestFailure.
	failureLife, longestFailure = time.Minute, 30 * time.Minute
)

// failure is an injection that did not work, and may be tried again.
type failure struct {
	generation int64
	until      time.Time
	life       time.Duration
	problem    *problem // nil once it is being tried again
}

// failure is the injection that did not work lately; nil when it may be tried
// again, or pods came up after all. A pod without a sidecar is not new then:
// the webhook may have missed no more than that one.
func (r *Intercepts) failure(ic *v1alpha1.Intercept, w *resolve.Workload, pods []corev1.Pod, bare []*corev1.Pod) *problem {
	f, ok := r.failed[string(ic.UID)]
	unready := slices.ContainsFunc(pods, func(p corev1.Pod) bool { return !ready(&p) })
	switch {
	case !ok:
	case f.generation != ic.Generation, len(bare) == 0 && len(pods) > 0 && len(pods) >= int(w.Replicas) && !unready:
		r.forget(ic)
	case f.problem != nil && time.Now().Before(f.until):
		return f.problem
	case f.problem != nil:
		f.problem = nil
		r.failed[string(ic.UID)] = f
		delete(r.wanted, string(ic.UID))
	}
	return nil
}

// forget ends what is known of an injection; the caller holds r.replacing.
func (r *Intercepts) forget(ic *v1alpha1.Intercept) {
	delete(r.failed, string(ic.UID))
	delete(r.wanted, string(ic.UID))
}

// evictedFor says that pods had to go for what is being tried, or a moment ago
// for another intercept, so that nothing serves in place of what does not come up.
func (r *Intercepts) evictedFor(ic *v1alpha1.Intercept, w *resolve.Workload) bool {
	since, known := r.wanted[string(ic.UID)]
	evicted, ok := r.evicted[w.UID]
	return known && ok && !evicted.Before(since.at.Add(-failureLife))
}

// abandon ends an injection for this generation: the pods that went for it come
// back without a sidecar only if none is wanted any more. The next leader may
// try again.
func (r *Intercepts) abandon(ic *v1alpha1.Intercept, p *problem) *problem {
	r.forget(ic)
	p = &problem{p.reason, p.message + "; the application's pods are made without a sidecar again until the intercept is changed or made anew"}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.abandoned == nil {
		r.abandoned = map[types.UID]failure{}
	}
	r.abandoned[ic.UID] = failure{generation: ic.Generation, problem: p}
	r.Log.Warn("pods with a sidecar do not come up", "intercept", ic.Namespace+"/"+ic.Name, "error", p.message)
	return p
}

// hopeless is why no agent is brought into pods for this generation; nil when
// there is no reason. The status says then that none is, for the webhook and the
// Janitor.
func (r *Intercepts) hopeless(ic *v1alpha1.Intercept) *problem {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, ok := r.abandoned[ic.UID]
	if !ok {
		return nil
	}
	if f.generation != ic.Generation {
		delete(r.abandoned, ic.UID)
		return nil
	}
	ic.Status.Injection, ic.Status.InjectionReason = "", ""
	return f.problem
}
