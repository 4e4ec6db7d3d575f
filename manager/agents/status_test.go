package agents

import (
	"log/slog"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

func report(state rpc.PortState, connections uint64) *rpc.AgentReport {
	return &rpc.AgentReport{Ports: []*rpc.PortReport{
		{InterceptUid: "u", State: rpc.PortState_VERIFIED, Connections: 1, LastConnection: 1_700_000_000_000},
		{InterceptUid: "u", State: state, Message: "m", Connections: connections},
		{InterceptUid: "another", State: rpc.PortState_FAILED},
	}}
}

func TestPortsOfOnePodBecomeOneEntry(t *testing.T) {
	for state, want := range map[rpc.PortState]v1alpha1.PodState{
		rpc.PortState_VERIFIED:   v1alpha1.PodActive,
		rpc.PortState_REDIRECTED: v1alpha1.PodVerifying,
		rpc.PortState_PENDING:    v1alpha1.PodVerifying,
		rpc.PortState_FAILED:     v1alpha1.PodError,
	} {
		a := &agent{pod: pki.Pod{Name: "quote-1"}, ports: report(state, 2).Ports}
		s, ok := a.status("u")
		if !ok || s.State != want || s.Connections != 3 || s.LastRequest == nil {
			t.Errorf("%s: got %+v, want %s", state, s, want)
		}
	}
	if _, ok := (&agent{}).status("u"); ok {
		t.Error("an agent that reported nothing has an entry")
	}
}

// A replica replaces what it wrote and leaves alone what others wrote.
func TestMergeKeepsForeignEntries(t *testing.T) {
	w := newStatusWriter(slog.New(slog.DiscardHandler), nil, nil)
	a := w.connect(pki.Pod{Namespace: "shop", Name: "quote-1", UID: "p"})
	w.report(a, report(rpc.PortState_VERIFIED, 0))
	foreign := v1alpha1.PodStatus{Name: "quote-2", State: v1alpha1.PodActive, Connections: 9}
	got := w.merge("u", []v1alpha1.PodStatus{{Name: "quote-1", State: v1alpha1.PodError}, foreign})
	if len(got) != 2 || got[0].State != v1alpha1.PodActive || got[1].Connections != 9 {
		t.Fatalf("merged to %+v", got)
	}
	w.report(a, &rpc.AgentReport{})
	if got = w.merge("u", got); len(got) != 1 || got[0].Name != "quote-2" {
		t.Errorf("after the agent let go: %+v", got)
	}
	w.report(a, report(rpc.PortState_VERIFIED, 0))
	got = w.merge("u", got)
	w.disconnect(a)
	if got = w.merge("u", got); len(got) != 1 {
		t.Errorf("after the agent went: %+v", got)
	}
}
