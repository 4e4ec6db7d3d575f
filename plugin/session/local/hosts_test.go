package local

import (
	"errors"
	"net"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

func TestTyped(t *testing.T) {
	for _, tt := range []struct {
		host    string
		program state.Program
		want    bool
	}{
		{"127.0.0.1", state.Program{}, true},
		{"127.0.0.2", state.Program{}, true},
		{"::1", state.Program{}, true},
		{"::ffff:127.0.0.1", state.Program{}, true},
		{"192.0.2.7", state.Program{}, false},
		{"192.0.2.7", state.Program{Hosts: []string{"2001:db8::7", "192.0.2.7"}}, true},
		{"192.0.2.70", state.Program{Hosts: []string{"192.0.2.7"}}, false},
		{"169.254.169.254", state.Program{Command: "command"}, false},
		{"localhost", state.Program{}, false}, // a name could lead anywhere
		{"", state.Program{}, false},
		{"192.0.2.7", state.Program{Socket: "/program.sock"}, true}, // the host is not asked
	} {
		e := newEntry(&v1alpha1.Intercept{})
		e.setProgram(tt.program)
		if got := e.typed(endpoint{tt.host, 8080, frame.TCP}); got != tt.want {
			t.Errorf("%q with %+v: %t", tt.host, tt.program, got)
		}
	}
}

// An address that came with the object alone gets no flow, and status says so. Once it was
// typed here, the session's state has it.
func TestUntypedIsRefused(t *testing.T) {
	const host = "192.0.2.7"
	table := served(t, &net.TCPAddr{Port: 8080}, func(s *v1alpha1.InterceptSpec) { s.Ports[0].LocalHost = host })
	err := table.Handle(t.Context(), &frame.Open{Intercept: "shop/quote", InterceptUID: "i", Port: 80}, flow{})
	if !errors.Is(err, frame.ErrRefused) {
		t.Fatalf("got %v", err)
	}
	if p := table.Status()[0].Ports[0]; !p.Untyped || p.Refused != 1 || p.Local != host+":8080" {
		t.Errorf("status is %+v", p)
	}
	program := state.Program{Hosts: []string{host}}
	table.entries[types.NamespacedName{Namespace: "shop", Name: "quote"}].setProgram(program)
	if p := table.Status()[0].Ports[0]; p.Untyped {
		t.Errorf("status is %+v", p)
	}
	if got := table.Programs()["shop/quote"]; !got.Equal(program) {
		t.Errorf("the state has %+v", got)
	}
}
