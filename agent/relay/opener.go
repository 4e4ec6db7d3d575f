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
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/line"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/warm"
)

const (
	// patience is how long a caller may wait for the laptop's verdict before
	// the application is asked instead.
	patience = 2 * time.Second
)

// VerdictError is a relay's answer other than frame.Accepted.
type VerdictError struct {
	Relay   string
	Verdict frame.Verdict
}

// Error says who answered what.
func (e *VerdictError) Error() string {
	return fmt.Sprintf("relay %s: %s", e.Relay, e.Verdict)
}

// Way is what a pooled connection leads to: a relay, or through it, by a line,
// a session.
type Way struct {
	Relay string
	// Line is zero for a connection on which the relay takes flows of any
	// session.
	Line handshake.LineRequest
}

// lineTo is the way of an intercept's flows through a relay.
func lineTo(addr string, r *Route) Way {
	return Way{addr, handshake.LineRequest{Session: r.Session, Intercept: r.Intercept, InterceptUID: r.UID}}
}

// Dial makes one connection, ready for an Open frame.
type Dial func(context.Context, Way) (tunnel.Stream, error)

// session is the breaker's key.
func (w Way) session() string { return w.Relay + " " + w.Line.Session }

// Opener opens flows. Its methods may be called concurrently.
type Opener struct {
	dial    Dial
	ctx     context.Context
	breaker breaker
	turns   chan struct{} // one element per handshake under way

	mu    sync.Mutex
	pools map[Way]*warm.Pool
}

// NewOpener returns an Opener whose background work ends with ctx.
func NewOpener(ctx context.Context, dial Dial) *Opener {
	return &Opener{ctx: ctx, dial: dial, pools: map[Way]*warm.Pool{}, turns: make(chan struct{}, handshakes)}
}

// Keep holds warm connections for these routes and for no other.
func (o *Opener) Keep(routes []*Route) {
	wanted := map[Way]bool{}
	for _, r := range routes {
		for _, addr := range r.Relays {
			wanted[Way{Relay: addr}] = true
			wanted[lineTo(addr, r)] = true
		}
	}
	var gone []*warm.Pool
	o.mu.Lock()
	for w, p := range o.pools {
		if !wanted[w] {
			gone = append(gone, p)
			delete(o.pools, w)
		}
	}
	for w := range wanted {
		if o.pools[w] == nil {
			o.pools[w] = warm.New(o.ctx, func(ctx context.Context) (tunnel.Stream, error) { return o.fresh(ctx, w) })
		}
	}
	o.mu.Unlock()
	o.breaker.retain(func(key string) bool {
		addr, _, _ := strings.Cut(key, " ")
		return wanted[Way{Relay: addr}]
	})
	for _, p := range gone {
		p.Close()
	}
}

// Open asks the route's relays, one after the other, to take the flow, and
// returns the stream once one accepted. The answers Refused and TimedOut are
// final: the laptop was reached.
func (o *Opener) Open(ctx context.Context, r *Route, open *frame.Open) (tunnel.Stream, error) {
	open.Intercept, open.InterceptUID, open.Session = r.Intercept, r.UID, r.Session
	failed := ErrNoRelay
	for _, addr := range r.Relays {
		line := lineTo(addr, r)
		ok, trial := o.breaker.allow(addr, time.Now())
		if !ok {
			continue
		}
		if ok, _ := o.breaker.allow(line.session(), time.Now()); !ok {
			failed = ErrSilent
			continue
		}
		s, err := o.ask(ctx, line, trial, open)
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

// ask opens the flow at one relay and keeps the breaker's books.
func (o *Opener) ask(ctx context.Context, to Way, trial bool, open *frame.Open) (tunnel.Stream, error) {
	addr, session := to.Relay, to.session()
	for {
		s, way, warm, err := o.connect(ctx, to, trial)
		if err != nil {
			return nil, err
		}
		begun := time.Now()
		limited, cancel := context.WithTimeout(ctx, patience)
		v, _, err := line.Ask(limited, s, open)
		cancel()
		if err == nil {
			o.breaker.succeed(addr, time.Now())
			o.breaker.succeed(session, time.Now())
			o.reuse(way, s)
			if v == frame.Accepted {
				return s, nil
			}
			if f, ok := s.(*line.Conn); ok && way.Line.Session != "" {
				f.Refused()
			}
			s.Close()
			return nil, &VerdictError{addr, v}
		}
		s.Reset()
		if warm && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
			continue // it was stale; a fresh one tells
		}
		if ctx.Err() == nil {
			o.breaker.fail(session, begun, time.Now())
		}
		return nil, fmt.Errorf("relay %s: %w", addr, err)
	}
}

// reuse makes the pool take the connection back once the flow has ended well.
func (o *Opener) reuse(w Way, s tunnel.Stream) {
	f, ok := s.(interface{ OnIdle(func(tunnel.Stream)) })
	if !ok {
		return
	}
	f.OnIdle(func(s tunnel.Stream) {
		o.mu.Lock()
		p := o.pools[w]
		o.mu.Unlock()
		if p == nil || !p.Put(s) {
			s.Close()
		}
	})
}
