package relay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/line"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/patience"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/warm"
)

// VerdictError is a relay's answer other than frame.Accepted.
type VerdictError struct {
	Relay   string
	Verdict frame.Verdict
}

// Error names the relay and its answer.
func (e *VerdictError) Error() string {
	return fmt.Sprintf("relay %s: %s", e.Relay, e.Verdict)
}

// Opener opens flows. Its methods may be called concurrently.
type Opener struct {
	dial    dial
	ctx     context.Context
	breaker breaker
	slots   chan struct{} // one element per handshake under way

	mu    sync.Mutex
	pools map[upstream]*warm.Pool
}

// NewOpener returns an Opener that dials as this identity. Its background work ends
// with ctx.
func NewOpener(ctx context.Context, id Identity) *Opener { return newOpener(ctx, dialer(id)) }

func newOpener(ctx context.Context, d dial) *Opener {
	return &Opener{ctx: ctx, dial: d, pools: map[upstream]*warm.Pool{}, slots: make(chan struct{}, handshakes)}
}

// Keep holds warm connections for these owners and for no others.
func (o *Opener) Keep(owners []Owner) {
	wanted := map[upstream]bool{}
	for _, owner := range owners {
		for _, addr := range owner.Relays {
			wanted[upstream{relay: addr}] = true
			wanted[owner.line(addr)] = true
		}
	}
	var gone []*warm.Pool
	o.mu.Lock()
	for u, p := range o.pools {
		if !wanted[u] {
			gone = append(gone, p)
			delete(o.pools, u)
		}
	}
	for u := range wanted {
		if o.pools[u] == nil {
			o.pools[u] = warm.New(o.ctx, func(ctx context.Context) (tunnel.Stream, error) { return o.fresh(ctx, u) })
		}
	}
	o.mu.Unlock()
	o.breaker.retain(func(key string) bool {
		addr, _, _ := strings.Cut(key, " ")
		return wanted[upstream{relay: addr}]
	})
	for _, p := range gone {
		p.Close()
	}
}

// Open asks the owner's relays, one after the other, to take the flow, and
// returns the stream once one of them accepts. The answers Refused and TimedOut are
// final: the laptop was reached.
func (o *Opener) Open(ctx context.Context, owner *Owner, open *frame.Open) (tunnel.Stream, error) {
	open.Intercept, open.InterceptUID, open.Session = owner.Intercept, owner.UID, owner.Session
	failed := ErrNoRelay
	for _, addr := range owner.Relays {
		to := owner.line(addr)
		ok, trial := o.breaker.allow(addr, time.Now())
		if !ok {
			continue
		}
		if ok, _ := o.breaker.allow(to.session(), time.Now()); !ok {
			failed = ErrSilent
			continue
		}
		s, err := o.ask(ctx, to, trial, open)
		if err == nil {
			return s, nil
		}
		failed = err
		var v *VerdictError
		if ctx.Err() != nil || errors.As(err, &v) && (v.Verdict == frame.Refused || v.Verdict == frame.TimedOut) {
			break
		}
		if errors.Is(err, context.DeadlineExceeded) {
			break // the caller has waited long enough
		}
	}
	return nil, failed
}

// ask opens the flow at one relay, and tells the breaker what came of it.
func (o *Opener) ask(ctx context.Context, to upstream, trial bool, open *frame.Open) (tunnel.Stream, error) {
	addr, session := to.relay, to.session()
	for {
		s, via, pooled, err := o.connect(ctx, to, trial)
		if err != nil {
			return nil, err
		}
		begun := time.Now()
		v, _, err := o.await(ctx, session, s, open)
		if err == nil {
			o.breaker.succeed(addr, time.Now())
			o.breaker.succeed(session, time.Now())
			o.reuse(via, s)
			if v == frame.Accepted {
				return s, nil
			}
			if f, ok := s.(*line.Conn); ok && via.line.Session != "" {
				f.Refused()
			}
			s.Close()
			return nil, &VerdictError{addr, v}
		}
		s.Reset()
		if pooled && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
			continue // a stale connection says nothing about the relay, a fresh one does
		}
		if ctx.Err() == nil {
			o.breaker.fail(session, begun, time.Now())
		}
		return nil, fmt.Errorf("relay %s: %w", addr, err)
	}
}

// await asks for the verdict. When it takes too long, the application is asked instead.
func (o *Opener) await(ctx context.Context, session string, s tunnel.Stream, open *frame.Open) (frame.Verdict, string, error) {
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	wait := patience.Start(func() time.Time { return o.breaker.workedAt(session) }, func() { cancel(context.DeadlineExceeded) })
	defer wait.Stop()
	return line.Ask(limited, s, open)
}

// reuse makes the pool take the connection back once the flow has ended well.
func (o *Opener) reuse(u upstream, s tunnel.Stream) {
	f, ok := s.(interface{ OnIdle(func(tunnel.Stream)) })
	if !ok {
		return
	}
	f.OnIdle(func(s tunnel.Stream) {
		o.mu.Lock()
		p := o.pools[u]
		o.mu.Unlock()
		if p == nil || !p.Put(s) {
			s.Close()
		}
	})
}
