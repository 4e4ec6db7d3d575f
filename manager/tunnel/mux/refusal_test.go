package mux

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

func TestRefusalOnCarrier(t *testing.T) {
	var answer error
	near, far := net.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	g := NewGroup(NewBudget(1 << 20))
	go g.Add(ctx, near, nil)
	go Serve(ctx, far, NewBudget(1<<20), func(context.Context, *frame.Open, tunnel.Incoming) error { return answer })
	tunneltest.Wait(t, "carrier", func() bool { return g.Len() == 1 })
	for name, want := range tunneltest.Refusals() {
		answer = want
		f, err := g.Open(t.Context(), &frame.Open{})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Confirm(); !tunneltest.Same(err, want) || !frame.Answered(err) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		f.Abort()
	}
	answer = errors.New("no file descriptors left")
	f, err := g.Open(t.Context(), &frame.Open{})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Confirm(); err == nil || frame.Answered(err) {
		t.Errorf("what is wrong with the relay itself arrives as %v", err)
	}
}
