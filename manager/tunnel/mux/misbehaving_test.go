package mux

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/buffer"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// A carrier whose opener opens no control stream ends, and nothing of it is left.
func TestNoControlStream(t *testing.T) {
	buffer.Pool() // not in the bubble: other tests use it, too
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		go io.Copy(io.Discard, b)
		begun := time.Now()
		if err := Serve(t.Context(), a, NewBudget(0), nil); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took != controlTimeout {
			t.Errorf("the carrier ended after %v", took)
		}
		b.Close()
	})
}

// A grant does not wait for a control stream longer than its flow lives.
func TestGrantEndsWithTheFlow(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newControl().grant(ctx, 1, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// messages is a stream on which messages of one size arrive.
type messages struct{ size int }

func (m messages) SendMsg(any) error { return nil }

func (m messages) RecvMsg(to any) error {
	*to.(*mem.BufferSlice) = mem.BufferSlice{mem.SliceBuffer(make([]byte, 1+m.size))}
	return nil
}

// A flow ends when its peer sends more than it may.
func TestPeerKeepsToItsCredit(t *testing.T) {
	control := newControl()
	control.stream = messages{}
	close(control.ready)
	f := &flow{messenger: messages{16 << 10}, ctx: t.Context(), control: control, window: newWindow(NewBudget(0))}
	written := 0
	err := f.receive(writer(func(p []byte) (int, error) {
		written += len(p)
		f.window.owed = 0 // as if the sink had taken nothing, so that nothing is granted
		if written > 2*initialWindow {
			return 0, errors.New("the flow goes on")
		}
		return len(p), nil
	}), func(int, int) {})
	if !errors.Is(err, errCredit) || written > initialWindow {
		t.Errorf("%v after %d bytes", err, written)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// A flow that keeps to its credit goes on, however its window grows.
func TestCreditSuffices(t *testing.T) {
	g := rig(t, 1, echo)
	c, done := open(t, g, nil)
	const size = 64 << 20
	go func() {
		buf := make([]byte, 64<<10)
		for range size / len(buf) {
			c.Write(buf)
		}
		c.CloseWrite()
	}()
	if n, err := io.Copy(io.Discard, c); err != nil || n != size {
		t.Errorf("%d bytes came back, %v", n, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Flows are bounded from the moment on at which they begin: those of which the peer says
// nothing more count, too.
func TestFlowsThatSayNothing(t *testing.T) {
	near, far := net.Pipe()
	left := make(chan bool, 3)
	for range cap(left) {
		left <- true
	}
	admit := func() (func(), error) {
		select {
		case <-left:
			return func() { left <- true }, nil
		default:
			return nil, &frame.DeniedError{Reason: "no flow is left"}
		}
	}
	go ServeBounded(t.Context(), far, NewBudget(0), admit, func(context.Context, *frame.Open, tunnel.Incoming) error { return frame.ErrRefused })
	g := NewGroup(NewBudget(0))
	up := make(chan bool)
	go g.Add(t.Context(), near, func() { close(up) })
	<-up
	ctx, cancel := context.WithCancel(t.Context())
	for range cap(left) {
		if _, err := g.carriers[0].cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, flowMethod); err != nil {
			t.Fatal(err)
		}
	}
	answer := func() error {
		f, err := g.Open(t.Context(), &frame.Open{Target: "10.0.0.1:80"})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Abort()
		return f.Confirm()
	}
	for len(left) > 0 { // the streams are on their way
		time.Sleep(time.Millisecond)
	}
	if err := answer(); err == nil || err.Error() != "no flow is left" || !errors.Is(err, frame.ErrDenied) {
		t.Errorf("one flow more: %v", err)
	}
	cancel()
	for len(left) < cap(left) {
		time.Sleep(time.Millisecond)
	}
	if err := answer(); !errors.Is(err, frame.ErrRefused) {
		t.Errorf("after they have ended: %v", err)
	}
}
