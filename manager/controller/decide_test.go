package controller

import (
	"context"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// An Intercept whose Session was deleted while there was no leader is deleted too, unless
// only the cache has not seen the Session.
func TestSessionlessIntercept(t *testing.T) {
	for name, c := range map[string]struct {
		wait time.Duration
		live bool
		gone bool
	}{"at once": {time.Second, false, false}, "after a minute": {time.Minute, false, true}, "the cache is behind": {time.Minute, true, false}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ic := intercept("alice", time.Now())
				ic.Spec.Session = "nobody"
				w := newWorld(t, interceptor.Funcs{}, ic)
				if c.live {
					w.ics.Live = interceptor.NewClient(w, interceptor.Funcs{Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
						return nil
					}})
				}
				w.reconcile("alice")
				time.Sleep(c.wait)
				if now := w.reconcile("alice"); (now.DeletionTimestamp != nil) != c.gone {
					t.Errorf("deleted at %v", now.DeletionTimestamp)
				}
			})
		})
	}
}

// TestDecideChangesNothing: only the writing of a decision changes the Intercept,
// whatever is decided.
func TestDecideChangesNothing(t *testing.T) {
	reported := func(pod string) func(*world) {
		return func(w *world) { w.reports(w.reconcile("alice"), agentSays(pod, v1alpha1.PodActive)) }
	}
	nothing, same := func(*world) {}, func(*v1alpha1.InterceptSpec) {}
	for name, c := range map[string]struct {
		before func(*world)
		change func(*v1alpha1.InterceptSpec)
	}{
		"first":    {nothing, same},
		"refused":  {nothing, func(s *v1alpha1.InterceptSpec) { s.Ports[0].Port = "grpc" }},
		"replaced": {nothing, func(s *v1alpha1.InterceptSpec) { s.Inject = v1alpha1.InjectSidecar }},
		"proven":   {reported("quote-1"), same},
		"pod gone": {reported("gone"), same},
	} {
		simulated(t, name, func(t *testing.T) {
			w := withReplicaSet(t, intercept("alice", time.Now()))
			c.before(w)
			var ic v1alpha1.Intercept
			w.Must(w.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "quote-alice"}, &ic))
			c.change(&ic.Spec)
			before := ic.DeepCopy()
			d, _, err := w.ics.decide(t.Context(), &ic)
			w.Must(err)
			if !reflect.DeepEqual(before, &ic) {
				t.Errorf("it is now %+v", ic.Status)
			}
			if d.write(&ic.Status); reflect.DeepEqual(before.Status, ic.Status) {
				t.Error("nothing was decided")
			}
		})
	}
}
