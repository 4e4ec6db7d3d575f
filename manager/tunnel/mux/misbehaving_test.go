package mux

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/mem"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/buffer"
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
