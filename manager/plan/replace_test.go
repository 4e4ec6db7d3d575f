package plan

import (
	"context"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// The agent beside the container stops it once the ports are proven, as long as the laptop is
// there; the agent of the ports is told of it before that.
func TestReplace(t *testing.T) {
	with := func(change func(*v1alpha1.Intercept)) Plan {
		t.Helper()
		ic := accepted("alice")
		ic.Spec.Mode, ic.Spec.StandIn, ic.Status.Mode = v1alpha1.ModeReplace, &v1alpha1.StandIn{}, v1alpha1.ModeReplace
		ic.Status.ProbePorts = []v1alpha1.ResolvedPort{{ContainerPort: 7070, Protocol: "TCP"}}
		ic.Status.Pods = []v1alpha1.PodStatus{{Name: "quote-1", UID: "p", Ports: []v1alpha1.PodPort{
			{Port: 7070, Protocol: "TCP", State: v1alpha1.PodActive}, {Port: 9090, Protocol: "TCP", State: v1alpha1.PodActive}}}}
		change(ic)
		pod := quotePod()
		pod.Spec.Containers[0].Name = "app"
		p, err := New(cluster(t, pod, ic), system, Answers{}).Pod(context.Background(), "shop", "quote-1", "p")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := with(func(*v1alpha1.Intercept) {})
	if got := p.InContainer("app").Pauses(); len(got) != 1 || got[0].InterceptUid != "i" || len(p.InContainer("other").Pauses()) > 0 {
		t.Errorf("the pauses are %v, and of another container %v", got, p.InContainer("other").Pauses())
	}
	ports := p.Ports()
	if len(ports) != 2 || ports[0].Port != 7070 || ports[0].Routes[0].Mode != rpc.Route_NOTHING || ports[1].Port != 9090 || ports[1].Routes[0].Mode != rpc.Route_TAKE {
		t.Fatalf("the ports are %v", ports)
	}
	for _, c := range ports {
		if !strings.HasPrefix(c.Stopped, "The application does not run: alice replaces container app ") {
			t.Errorf("of port %d it says %q", c.Port, c.Stopped)
		}
	}
	for when, test := range map[string]struct {
		change  func(*v1alpha1.Intercept)
		stopped bool
	}{
		"a port is not proven":   {func(ic *v1alpha1.Intercept) { ic.Status.Pods[0].Ports[0].State = v1alpha1.PodVerifying }, true},
		"no agent has the ports": {func(ic *v1alpha1.Intercept) { ic.Status.Pods = nil }, true},
		"of another pod":         {func(ic *v1alpha1.Intercept) { ic.Status.Pods[0].UID = "older" }, true},
		"the laptop is away":     {func(ic *v1alpha1.Intercept) { ic.Spec.Session = "gone" }, false},
		"another mode":           {func(ic *v1alpha1.Intercept) { ic.Status.Mode = v1alpha1.ModeGlobal }, false},
	} {
		other := with(test.change)
		if n := len(other.Pauses()); n > 0 {
			t.Errorf("%s: the container is stopped", when)
		}
		if got := other.Ports()[1].Stopped != ""; got != test.stopped {
			t.Errorf("%s: stopped is %t", when, got)
		}
		if p.Equal(other) {
			t.Errorf("%s: the plan is the same", when)
		}
	}
	bare := with(func(ic *v1alpha1.Intercept) { ic.Status.Ports, ic.Status.ProbePorts, ic.Status.Pods = nil, nil, nil })
	if len(bare.Pauses()) != 1 || bare.Len() != 0 || bare.Empty() {
		t.Errorf("without ports, the pauses are %v, of %d ports", bare.Pauses(), bare.Len())
	}
}
