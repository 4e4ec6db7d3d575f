package plan

import (
	"context"
	"slices"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// A plan has the Intercepts whose laptops stand in for this very pod, for the agent beside
// the container that they are about.
func TestStandIns(t *testing.T) {
	with := func(change func(*v1alpha1.Intercept)) Plan {
		t.Helper()
		ic := accepted("alice")
		ic.Status.StandIn = &v1alpha1.StandInStatus{Pod: "quote-1", UID: "p", Container: "app"}
		change(ic)
		p, err := New(cluster(t, quotePod(), ic), system, Answers{}).Pod(context.Background(), "shop", "quote-1", "p")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := with(func(*v1alpha1.Intercept) {})
	beside := p.InContainer("app")
	all := beside.StandIns()
	if len(all) != 1 || all[0].Intercept != "shop/quote" || all[0].Session != "alice" || !slices.Equal(all[0].Relays, []string{"10.0.0.1:17843", "10.0.0.2:17843"}) || beside.Len() != 0 {
		t.Errorf("the agent beside the container gets %v and %d ports", all, beside.Len())
	}
	if !p.InContainer("other").Empty() {
		t.Error("the agent beside another container gets something")
	}
	claim := Claim{Intercept: "shop/quote", UID: "i", Session: "alice"}
	if !p.HasStandIn(claim) || !p.Routes(claim) {
		t.Error("the pod has no stand-in or no route")
	}
	if p.Equal(with(func(ic *v1alpha1.Intercept) { ic.Status.StandIn.Container = "other" })) {
		t.Error("plans for two containers are the same")
	}
	for when, change := range map[string]func(*v1alpha1.Intercept){
		"another pod of that name": func(ic *v1alpha1.Intercept) { ic.Status.StandIn.UID = "older" },
		"no stand-in":              func(ic *v1alpha1.Intercept) { ic.Status.StandIn = nil },
		"not resolved":             func(ic *v1alpha1.Intercept) { ic.Status.Conditions = nil },
	} {
		if with(change).HasStandIn(claim) {
			t.Errorf("%s: the laptop stands in for the pod", when)
		}
	}
	ingest := with(func(ic *v1alpha1.Intercept) { ic.Status.Mode, ic.Status.Ports = v1alpha1.ModeIngest, nil })
	if ingest.Len() != 0 || ingest.Empty() {
		t.Errorf("mode Ingest has %d ports", ingest.Len())
	}
}
