package agents

import (
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// beside is the report of an agent beside a container.
func beside(state rpc.PortState, message string) *rpc.AgentReport {
	return &rpc.AgentReport{Container: "app", Pauses: []*rpc.PauseReport{
		{InterceptUid: "another", State: rpc.PortState_FAILED}, {InterceptUid: "u", State: state, Message: message}}}
}

// What the agent of the ports and the one beside the container say makes one entry, from which
// each takes its part when it goes.
func TestAContainerOfAPod(t *testing.T) {
	s := newStore(t)
	w, other := s.replica(), s.replica()
	ports := w.connect(t.Context(), pod("quote-1"), report(rpc.PortState_VERIFIED, 2))
	container := other.connect(t.Context(), pod("quote-1"), beside(rpc.PortState_PENDING, ""))
	got := s.pods(w, other)["quote-1"]
	if got.State != v1alpha1.PodVerifying || len(got.Ports) != 2 || got.Container == nil || got.Container.Name != "app" || got.Container.State != v1alpha1.PodVerifying {
		t.Errorf("before it is stopped: %+v", got)
	}
	other.report(container, beside(rpc.PortState_VERIFIED, ""))
	if got = s.pods(other, w)["quote-1"]; got.State != v1alpha1.PodActive || got.Container.State != v1alpha1.PodActive {
		t.Errorf("once it is stopped: %+v", got)
	}
	other.report(container, beside(rpc.PortState_FAILED, "not allowed"))
	if got = s.pods(other, w)["quote-1"]; got.State != v1alpha1.PodError || got.Message != "not allowed" {
		t.Errorf("when that fails: %+v", got)
	}

	// A later agent beside the container has the say, at whichever replica.
	later := w.connect(t.Context(), pod("quote-1"), beside(rpc.PortState_VERIFIED, ""))
	if got = s.pods(w, other)["quote-1"]; got.State != v1alpha1.PodActive {
		t.Errorf("with a later agent: %+v", got)
	}
	other.disconnect(container)
	if got = s.pods(other, w)["quote-1"]; got.Container == nil {
		t.Errorf("when the earlier agent goes: %+v", got)
	}
	w.disconnect(later)
	if got = s.pods(w, other)["quote-1"]; got.Container != nil || len(got.Ports) != 2 || got.State != v1alpha1.PodActive {
		t.Errorf("when the later one goes: %+v", got)
	}
	w.disconnect(ports)
	if all := s.pods(w, other); len(all) > 0 {
		t.Errorf("without agents: %+v", all)
	}
}
