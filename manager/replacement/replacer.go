// Package replacement brings sidecars into the pods of a workload, and out of them, by
// replacing pods one at a time. It changes pods only, and no workload object.
package replacement

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/orphan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/problem"
)

const (
	// settleTime is how long caches may lag behind this package's last change.
	settleTime = time.Second
	// drainTime is how long nodes may still send callers to a pod that no Service
	// selects any more, or that was evicted. By default kube-proxy changes its rules once a
	// second, and takes longer on a busy node: up to 4 s for nine of ten changes where the
	// processors had no rest.
	drainTime = 5 * time.Second
	// rescheduleTime is how long the scheduler may take to try again once a pod has
	// made room: longer than its longest pause, which is ten seconds.
	rescheduleTime = 15 * time.Second
)

// Replacer replaces pods. It is safe for concurrent use, and takes one step at a time.
type Replacer struct {
	Cluster
	// SchedulingGrace is how long a pod with a sidecar may wait for a node.
	SchedulingGrace time.Duration

	mu        sync.Mutex                // guards the maps, and is held during a step
	attempts  map[types.UID]*attempt    // by Intercept
	workloads map[types.UID]*lastAction // by workload
	abandoned abandonments
}

// Cluster is where pods are read and changed.
type Cluster struct {
	// Client reads from the cache and writes to the API server.
	Client client.Client
	// Live reads from the API server.
	Live client.Reader
	Log  *slog.Logger
}

// Task is a workload whose pods are to have a sidecar for an Intercept.
type Task struct {
	Intercept *v1alpha1.Intercept
	// Ports are the Intercept's, resolved.
	Ports    []v1alpha1.ResolvedPort
	Workload *resolve.Workload
	// Pods are the workload's pods with one of the ports, Bare those that run and have
	// no sidecar for it.
	Pods []corev1.Pod
	Bare []*corev1.Pod
}

// covered says that a pod has the sidecar.
func (t *Task) covered(p *corev1.Pod) bool { return Covered(t.Ports, p) }

// Covered says that a pod has a sidecar in front of every one of these ports that the
// pod has.
func Covered(ports []v1alpha1.ResolvedPort, p *corev1.Pod) bool {
	s := sidecar.Of(p)
	return s != nil && !slices.ContainsFunc(ports, func(r v1alpha1.ResolvedPort) bool {
		n := resolve.PortIn(p, r)
		return n != 0 && !sidecar.Leads(s, r, n)
	})
}

// Recreates says that a controller of this kind makes a new pod after one was deleted.
func Recreates(kind string) bool {
	return slices.Contains([]string{"ReplicaSet", "StatefulSet", "DaemonSet", "Rollout"}, kind)
}

// Replace takes the next step. It returns what is being waited for, or what is wrong;
// nil when every pod has its sidecar.
func (r *Replacer) Replace(ctx context.Context, t Task) *problem.Problem {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.attempt(t.Intercept)
	switch {
	case a.failedBefore() && t.complete():
		a = r.restart(t.Intercept)
	case a.failing():
		return a.problem
	default:
		a.retry()
	}
	a.workload = t.Workload.UID
	last := r.last(t.Workload)
	if time.Since(last.acted) < settleTime {
		return waiting("%s", cmp.Or(last.awaited, "replacing pods by ones with a sidecar"))
	}
	p, begins, err := r.step(ctx, &t, a, last)
	switch {
	case err != nil:
		return waiting("replacing pods by ones with a sidecar: %v", err)
	case p == nil:
		delete(r.attempts, t.Intercept.UID)
	case p.Reason == v1alpha1.ReasonReplacing:
		last.awaited = p.Message
	case p.Reason == v1alpha1.ReasonDisruptionBudget:
	case begins && a.evicted(last):
		delete(r.attempts, t.Intercept.UID)
		p = r.abandoned.add(t.Intercept, p)
		r.Log.Warn("pods with a sidecar do not come up", "intercept", t.Intercept.Namespace+"/"+t.Intercept.Name, "error", p.Message)
	default:
		a.fail(p)
	}
	return p
}

// step goes on with the workload's orphan, if there is one, or begins with the next
// pod.
func (r *Replacer) step(ctx context.Context, t *Task, a *attempt, last *lastAction) (p *problem.Problem, begins bool, err error) {
	i := slices.IndexFunc(t.Pods, func(p corev1.Pod) bool { return p.Labels[orphan.Label] != "" })
	if i >= 0 {
		p, err = r.finish(ctx, t, &t.Pods[i], last)
	} else {
		p, err = r.begin(ctx, t, a, last)
	}
	if p == nil && err == nil {
		p, err = r.draining(ctx, t, last)
	}
	return p, i < 0, err
}

// End forgets an Intercept that is being deleted. Its orphans are adopted again, and
// their ReplicaSet removes the successors, which are then too many.
func (r *Replacer) End(ctx context.Context, ic *v1alpha1.Intercept) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.attempts, ic.UID)
	r.abandoned.forget(ic)
	orphans, err := r.orphans(ctx, ic)
	if err != nil {
		return err
	}
	for i := range orphans {
		p := &orphans[i]
		mark, ok := orphan.Read(p)
		if !ok || p.DeletionTimestamp != nil || mark.Drained != nil {
			continue
		}
		if err := r.readopt(ctx, p, &lastAction{}, mark); err != nil {
			return err
		}
	}
	return nil
}

// AbandonedReason is why no agent is to be brought into pods for this generation of an
// Intercept; nil when there is no reason. The Intercept's status must then name no way
// of injection, for the webhook and the Janitor.
func (r *Replacer) AbandonedReason(ic *v1alpha1.Intercept) *problem.Problem {
	return r.abandoned.reason(ic)
}

// waiting is a problem that passes.
func waiting(format string, args ...any) *problem.Problem {
	return problem.New(v1alpha1.ReasonReplacing, format, args...)
}
