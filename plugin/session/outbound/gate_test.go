package outbound

import (
	"context"
	"errors"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/mux"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/warm"
)

func TestGate(t *testing.T) {
	var none *Gate
	if ctx, end, err := none.Pass(t.Context()); err != nil || ctx.Err() != nil || none.Away() {
		t.Fatalf("no gate: %v", err)
	} else {
		end()
	}
	var g Gate
	ctx, end, err := g.Pass(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	over, end2, err := g.Pass(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	end2()
	g.Set(true)
	if ctx.Err() != nil {
		t.Fatal("opening an open gate ends what waits")
	}
	g.Set(false)
	<-ctx.Done()
	if context.Cause(ctx) != ErrAway || context.Cause(over) == ErrAway {
		t.Fatalf("causes %v, %v", context.Cause(ctx), context.Cause(over))
	}
	if _, _, err := g.Pass(t.Context()); err != ErrAway || !g.Away() {
		t.Fatalf("a shut gate: %v", err)
	}
	g.Set(true)
	if ctx, end, err := g.Pass(t.Context()); err != nil || ctx.Err() != nil {
		t.Fatalf("a gate that is open again: %v", err)
	} else {
		end()
	}
}

// A dial fails at once while the gate is shut, and where there is no carrier.
func TestAway(t *testing.T) {
	var g Gate
	d := &Dialer{Gate: &g, Group: mux.NewGroup(mux.NewBudget(1 << 20))}
	if _, err := d.Open(t.Context(), frame.TCP, "192.0.2.1:80", nil); !errors.Is(err, mux.ErrNoCarrier) {
		t.Errorf("no carrier: %v", err)
	}
	g.Set(false)
	if _, err := d.Open(t.Context(), frame.TCP, "192.0.2.1:80", nil); err != ErrAway {
		t.Errorf("away: %v", err)
	}
}

// wire is a line without a far side.
type wire struct{ net.Conn }

func (w wire) CloseWrite() error { return w.Close() }
func (w wire) Reset()            { w.Close() }

// Lines are taken as long as there are not too many in use.
func TestLinesAreBounded(t *testing.T) {
	asked := make(chan struct{}, 100)
	pool := warm.New(t.Context(), func(context.Context) (tunnel.Stream, error) {
		near, far := net.Pipe()
		go func() {
			if _, err := far.Read(make([]byte, 1)); err == nil {
				asked <- struct{}{}
			}
			far.Close()
		}()
		return wire{near}, nil
	})
	t.Cleanup(pool.Close)
	for deadline := time.Now().Add(20 * time.Second); pool.Idle() == 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("no line comes")
		}
	}
	d := &Dialer{Lines: pool, Group: mux.NewGroup(mux.NewBudget(1 << 20))}
	for _, tt := range []struct {
		used int64
		want bool
	}{{linesMax, false}, {linesMax - 1, true}} {
		used, want := tt.used, tt.want
		d.lines.Store(used)
		if _, err := d.Open(t.Context(), frame.TCP, "192.0.2.1:80", nil); !errors.Is(err, mux.ErrNoCarrier) {
			t.Errorf("%d in use: %v", used, err)
		}
		got := false
		select {
		case <-asked:
			got = true
		default:
		}
		if got != want {
			t.Errorf("%d in use: another one is asked %t, want %t", used, got, want)
		}
	}
}
