package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
)

const (
	// Handshakes cost CPU. Those of a burst are done a few at a time, so that
	// most are quick instead of all being late; waiting for one's turn does
	// not count as a relay's failure.
	handshakes    = 8
	handshakeTurn = 10 * time.Second
	// dialTimeout is more than what one lost SYN costs, a second (RFC 6298).
	dialTimeout = 1500 * time.Millisecond
	lineTimeout = 5 * time.Second
)

// connect returns a connection, where it leads to, and whether it is a warm
// one: a line, if there is one at once, else any to the relay.
func (o *Opener) connect(ctx context.Context, line Way, trial bool) (tunnel.Stream, Way, bool, error) {
	addr := line.Relay
	for _, w := range []Way{line, {Relay: addr}} {
		o.mu.Lock()
		p := o.pools[w]
		o.mu.Unlock()
		if p == nil {
			continue
		}
		if s := p.Get(); s != nil {
			return s, w, true, nil
		}
	}
	w := Way{Relay: addr}
	give, err := o.turn(ctx)
	if err != nil {
		return nil, w, false, err
	}
	defer give()
	if !trial && o.breaker.broken(addr) {
		return nil, w, false, ErrNoRelay // it failed while this flow waited
	}
	for begun := time.Now(); ; {
		s, err := o.dialWithin(ctx, dialTimeout, w)
		if err == nil || ctx.Err() != nil {
			return s, w, false, err
		}
		// Where others get through meanwhile, so will this one.
		if now := time.Now(); o.breaker.fail(addr, begun, now) || now.Sub(begun) > handshakeTurn {
			return nil, w, false, err
		}
	}
}

// dialWithin makes a connection. That it takes too long is an error of its own
// and not the context's: there is patience for another relay.
func (o *Opener) dialWithin(ctx context.Context, timeout time.Duration, w Way) (tunnel.Stream, error) {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s, err := o.dial(limited, w)
	switch {
	case err == nil:
		o.breaker.succeed(w.Relay, time.Now())
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		err = fmt.Errorf("dial relay %s: no connection within %v", w.Relay, timeout)
	}
	return s, err
}

// fresh is a connection for a pool.
func (o *Opener) fresh(ctx context.Context, w Way) (tunnel.Stream, error) {
	timeout := dialTimeout
	if w.Line.Session != "" {
		timeout = lineTimeout // much of it is waiting for the laptop
	} else {
		give, err := o.turn(ctx)
		if err != nil {
			return nil, err
		}
		defer give()
	}
	return o.dialWithin(ctx, timeout, w)
}

// turn waits until a handshake may be made; the caller gives the turn back.
func (o *Opener) turn(ctx context.Context) (give func(), err error) {
	t := time.NewTimer(handshakeTurn)
	defer t.Stop()
	select {
	case o.turns <- struct{}{}:
		return func() { <-o.turns }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to dial a relay: %w", ctx.Err())
	case <-t.C:
		return nil, fmt.Errorf("too many connections at once: no turn to dial a relay within %v", handshakeTurn)
	}
}
