package replacement

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/problem"
	"github.com/kubectl-intercept/kubectl-intercept/manager/shoptest"
)

// TestAttemptEnds: nothing of an attempt is kept once every pod has its sidecar, also
// where it had failed before.
func TestAttemptEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.Made("quote-2", shoptest.ComesUp)
		s.Must(s.Delete(t.Context(), s.Pod("quote-1")))
		task := s.task()
		s.replacer.attempt(task.Intercept).fail(problem.New(v1alpha1.ReasonPodNotReady, "earlier"))
		time.Sleep(2 * settleTime)
		if p := s.replacer.Replace(t.Context(), task); p != nil || len(s.replacer.attempts) != 0 {
			t.Errorf("%+v, attempts %v", p, s.replacer.attempts)
		}
	})
}

// TestAttemptFails: the pause doubles with each failure, up to a limit, and another
// generation begins anew.
func TestAttemptFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Replacer
		ic := shoptest.Intercept("alice", time.Now())
		for _, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, longestRetry, longestRetry} {
			a := r.attempt(ic)
			a.fail(problem.New(v1alpha1.ReasonPodNotReady, "again"))
			if a.pause != want || !a.failing() {
				t.Errorf("a pause of %s, want %s", a.pause, want)
			}
			time.Sleep(want)
			if a.failing() {
				t.Errorf("after %s it is not tried again", want)
			}
		}
		ic.Generation++
		if a := r.attempt(ic); a.failedBefore() {
			t.Errorf("another generation has %+v", a)
		}
	})
}

// TestDraining: nodes may send callers to a pod for a moment after its eviction.
func TestDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		task, last := s.task(), &lastAction{evicted: time.Now()}
		p, err := s.replacer.draining(t.Context(), &task, last)
		if s.Must(err); p == nil || !strings.Contains(p.Message, "the pod that was evicted") {
			t.Errorf("%+v", p)
		}
		time.Sleep(drainTime)
		p, err = s.replacer.draining(t.Context(), &task, last)
		if s.Must(err); p != nil {
			t.Errorf("afterwards %+v", p)
		}
	})
}

// TestAbandonedReason: an Intercept is abandoned for its generation, until it ends.
func TestAbandonedReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.Deployment(func(d *appsv1.Deployment) { d.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType })
		time.Sleep(2 * settleTime)
		s.replacer.Replace(t.Context(), s.task()) // evicts the pod
		s.Made("quote-2", shoptest.Missed)
		time.Sleep(2 * settleTime)
		task := s.task()
		p := s.replacer.Replace(t.Context(), task)
		if p == nil || p.Reason != v1alpha1.ReasonWebhookUnreachable || s.replacer.AbandonedReason(task.Intercept) != p || len(s.replacer.attempts) != 0 {
			t.Fatalf("%+v, abandoned %+v", p, s.replacer.AbandonedReason(task.Intercept))
		}
		changed := task.Intercept.DeepCopy()
		changed.Generation++
		if p := s.replacer.AbandonedReason(changed); p != nil {
			t.Errorf("another generation: %+v", p)
		}
		s.Must(s.replacer.End(t.Context(), task.Intercept))
		if p := s.replacer.AbandonedReason(task.Intercept); p != nil {
			t.Errorf("after the end: %+v", p)
		}
	})
}
