package line

import (
	"context"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/record"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// TestRefusalOnLine: the line serves the next flow after each.
func TestRefusalOnLine(t *testing.T) {
	k := handshake.RandomIdentity()
	server, err := NewServer(k)
	if err != nil {
		t.Fatal(err)
	}
	pin, err := k.Pin()
	if err != nil {
		t.Fatal(err)
	}
	agent := handshake.RandomIdentity()
	cert, err := agent.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	agentPin, err := agent.Pin()
	if err != nil {
		t.Fatal(err)
	}
	a, b := tunneltest.Pair(t)
	var answer error
	done := make(chan error, 1)
	go func() {
		f, err := Client(t.Context(), record.NewConn(b), cert, pin)
		if err == nil {
			Serve(t.Context(), f, func(*frame.Open) bool { return true },
				func(context.Context, *frame.Open, tunnel.Incoming) error { return answer })
		}
		done <- err
	}()
	f, err := server.Accept(t.Context(), a, &handshake.LineAssigned{Agent: agentPin})
	if err != nil {
		t.Fatal(err)
	}
	var s tunnel.Stream = f
	for name, want := range tunneltest.Refusals() {
		answer = want
		now := s.(*Conn)
		now.OnIdle(func(next tunnel.Stream) { s = next })
		v, reason, err := Ask(t.Context(), now, &frame.Open{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := v.Err(reason); !tunneltest.Same(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		now.Refused()
		now.Close()
	}
	s.Reset()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
