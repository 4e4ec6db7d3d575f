package relay

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/line"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/warm"
)

// replica is a relay without TLS.
type replica struct {
	ln     net.Listener
	dials  atomic.Int32
	answer func(*net.TCPConn)
}

func newReplica(t *testing.T, answer func(*net.TCPConn)) *replica {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{ln: ln, answer: answer}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go r.answer(c.(*net.TCPConn))
		}
	}()
	return r
}

func (r *replica) addr() string { return r.ln.Addr().String() }

func (r *replica) dial(ctx context.Context, u upstream) (tunnel.Stream, error) {
	r.dials.Add(1)
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", u.relay)
	if err != nil {
		return nil, err
	}
	return tunnel.NewTCP(c.(*net.TCPConn)), nil
}

func saying(v frame.Verdict) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		if _, err := frame.ReadOpen(c); err == nil {
			frame.WriteVerdict(c, v)
		}
	}
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !cond(); {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
		time.Sleep(time.Millisecond)
	}
}

func (o *Opener) warm(addr string) int {
	return o.idle(upstream{relay: addr, line: handshake.LineRequest{Session: "s"}})
}

func (o *Opener) idle(u upstream) int {
	o.mu.Lock()
	p := o.pools[u]
	o.mu.Unlock()
	return p.Idle()
}

func TestOpenTakesWarmConnections(t *testing.T) {
	r := newReplica(t, saying(frame.Accepted))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	o := newOpener(ctx, r.dial)
	o.Keep([]Owner{{Relays: []string{r.addr()}, Session: "s"}})
	defer o.Keep(nil)
	eventually(t, "pool is full", func() bool { return o.warm(r.addr()) == warm.Min })
	before := r.dials.Load()
	s, err := o.Open(ctx, &Owner{Relays: []string{r.addr()}, Session: "s"}, &frame.Open{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	eventually(t, "pool is filled again", func() bool { return o.warm(r.addr()) == warm.Min })
	if n := r.dials.Load() - before; n != 1 {
		t.Errorf("%d dials for one flow, want 1 to fill up", n)
	}
}

func TestOpenAfterStaleConnections(t *testing.T) {
	var conns atomic.Int32
	r := newReplica(t, func(c *net.TCPConn) {
		if conns.Add(1) <= warm.Min {
			frame.ReadOpen(c) // the relay was replaced: the open gets lost
			c.Close()
			return
		}
		saying(frame.Accepted)(c)
	})
	o := newOpener(t.Context(), r.dial)
	o.Keep([]Owner{{Relays: []string{r.addr()}, Session: "s"}})
	defer o.Keep(nil)
	eventually(t, "pool is full", func() bool { return o.warm(r.addr()) == warm.Min })
	s, err := o.Open(t.Context(), &Owner{Relays: []string{r.addr()}, Session: "s"}, &frame.Open{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

func TestOpenGoesOnToTheNextRelay(t *testing.T) {
	none, good := newReplica(t, saying(frame.NoSession)), newReplica(t, saying(frame.Accepted))
	refusing := newReplica(t, saying(frame.Refused))
	o := newOpener(t.Context(), good.dial)
	s, err := o.Open(t.Context(), &Owner{Relays: []string{"127.0.0.1:1", none.addr(), good.addr()}}, &frame.Open{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	_, err = o.Open(t.Context(), &Owner{Relays: []string{refusing.addr(), good.addr()}}, &frame.Open{})
	var v *VerdictError
	if !errors.As(err, &v) || v.Verdict != frame.Refused {
		t.Errorf("a refusal is final, got %v", err)
	}
}

// A line is taken if there is one at once; else the relay is asked.
func TestOpenPrefersLines(t *testing.T) {
	r := newReplica(t, saying(frame.Accepted))
	owner := &Owner{Relays: []string{r.addr()}, Session: "s", Intercept: "shop/quote", UID: "i"}
	var lines, relays atomic.Int32
	var refuse atomic.Bool
	o := newOpener(t.Context(), func(ctx context.Context, u upstream) (tunnel.Stream, error) {
		if u == (upstream{relay: r.addr()}) {
			relays.Add(1)
			return r.dial(ctx, u)
		}
		if u.line != (handshake.LineRequest{Session: "s", Intercept: "shop/quote", InterceptUID: "i"}) {
			t.Errorf("a line to %+v", u.line)
		}
		if refuse.Load() {
			return nil, &line.NoLineError{Verdict: frame.NoLine}
		}
		lines.Add(1)
		return r.dial(ctx, u)
	})
	o.Keep([]Owner{*owner})
	defer o.Keep(nil)
	eventually(t, "lines and connections are warm", func() bool {
		return o.idle(owner.line(r.addr())) == warm.Min && o.idle(upstream{relay: r.addr()}) == warm.Min
	})
	refuse.Store(true)
	for range warm.Min + 1 {
		s, err := o.Open(t.Context(), owner, &frame.Open{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
	}
	// The last one found no line and took a connection; the pool makes another.
	eventually(t, "one more connection", func() bool { return relays.Load() == warm.Min+1 })
	if n := lines.Load(); n != warm.Min {
		t.Errorf("%d lines", n)
	}
}

// A burst in which some dials are late, while others get through, is a burst:
// every flow of it reaches the laptop.
func TestOpenGoesThroughABurst(t *testing.T) {
	r := newReplica(t, saying(frame.Accepted))
	var late atomic.Int32
	o := newOpener(t.Context(), func(ctx context.Context, u upstream) (tunnel.Stream, error) {
		if late.Add(1) == 1 { // the first
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return r.dial(ctx, u)
	})
	burst(t, o, r.addr(), 50)
}

// burst opens flows at once, and each must reach the laptop.
func burst(t *testing.T, o *Opener, relay string, flows int) {
	t.Helper()
	owner := &Owner{Relays: []string{relay}, Session: "s"}
	errs := make(chan error, flows)
	for range flows {
		go func() {
			s, err := o.Open(t.Context(), owner, &frame.Open{})
			if err == nil {
				s.Close()
			}
			errs <- err
		}()
	}
	for range flows {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// A caller that gives up while it waits for a handshake slot is no failure of the relay,
// and the error says so.
func TestSlotEndsWithTheCaller(t *testing.T) {
	o := newOpener(t.Context(), nil)
	for range cap(o.slots) {
		o.slots <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := o.slot(ctx, "relay"); !errors.Is(err, context.Canceled) {
		t.Errorf("the wait ends with %v", err)
	}
}
