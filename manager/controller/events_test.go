package controller

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// TestEventsOfALife: a workload's Events say who began which intercept, and that it has ended
// and why.
func TestEventsOfALife(t *testing.T) {
	for why, end := range map[string]func(*world, *v1alpha1.Intercept){
		"it was deleted": func(w *world, ic *v1alpha1.Intercept) { w.Must(w.Delete(t.Context(), ic)) },
		"its session is over": func(w *world, ic *v1alpha1.Intercept) {
			w.Must(w.Delete(t.Context(), session("alice", true, time.Now())))
			w.Must(w.Delete(t.Context(), ic))
		},
	} {
		w := newWorld(t, interceptor.Funcs{}, intercept("alice", time.Now()))
		recorder := events.NewFakeRecorder(100)
		w.ics.Events = recorder
		w.Ready()
		says := func(want string) {
			t.Helper()
			select {
			case e := <-recorder.Events:
				if e != want {
					t.Errorf("%q, want %q", e, want)
				}
			default:
				t.Errorf("no Event, want %q", want)
			}
		}
		active := func() { w.reports(w.reconcile("alice"), agentSays("quote-1", v1alpha1.PodActive)) }
		active()
		ic := w.reconcile("alice")
		says("Normal Intercepted alice began intercept quote-alice (port http): " + condition(ic, v1alpha1.ConditionActive).Message)
		w.connected("alice", false, time.Now().Add(-time.Hour))
		w.reconcile("alice")
		w.connected("alice", true, time.Now())
		active()
		ic = w.reconcile("alice")
		says("Normal Intercepted alice resumed intercept quote-alice (port http): " + condition(ic, v1alpha1.ConditionActive).Message)
		w.reports(ic)
		end(w, ic)
		if _, err := w.ics.Reconcile(context.Background(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "shop", Name: "quote-alice"}}); err != nil {
			t.Fatal(err)
		}
		says("Normal InterceptRemoved intercept quote-alice (port http) of alice has ended: " + why)
	}
}

// TestInterceptsAreCounted: by the leader alone, each mode and state.
func TestInterceptsAreCounted(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{}, intercept("alice", time.Now()), personal("bob", time.Now(), byHeader("x-user", "bob")))
	w.Ready()
	w.reports(w.reconcile("alice"), agentSays("quote-1", v1alpha1.PodActive))
	w.reconcile("alice")
	elected := make(chan struct{})
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(NewMetrics(w, elected)); err != nil {
		t.Fatal(err)
	}
	if families, err := registry.Gather(); len(families) != 0 || err != nil {
		t.Errorf("a replica that does not lead counts %v, %v", families, err)
	}
	close(elected)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, m := range families[0].Metric {
		got[m.Label[0].GetValue()+" "+m.Label[1].GetValue()] = m.GetGauge().GetValue()
	}
	if len(got) != 5*4 || got["global active"] != 1 || got["personal waiting"] != 1 || got["mirror error"] != 0 {
		t.Errorf("counted %v", got)
	}
}
