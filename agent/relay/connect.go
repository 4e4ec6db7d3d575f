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
	// most are quick instead of all being late. The wait for a slot does not
	// count as a failure of the relay. It goes on while handshakes succeed.
	handshakes  = 8
	slotTimeout = 10 * time.Second
	// dialTimeout bounds a dial and its handshake. A relay that does not even accept
	// the connection has less time, 1.5 s: it is gone, while one that
	// shakes hands late may have much to do.
	dialTimeout = 5 * time.Second
)

// connect returns a connection, what it leads to, and whether it comes from a
// pool: a line if the pool has one, else any connection to the relay.
func (o *Opener) connect(ctx context.Context, to upstream, trial bool) (tunnel.Stream, upstream, bool, error) {
	addr := to.relay
	for _, u := range []upstream{to, {relay: addr}} {
		o.mu.Lock()
		p := o.pools[u]
		o.mu.Unlock()
		if p == nil {
			continue
		}
		if s := p.Get(); s != nil {
			return s, u, true, nil
		}
	}
	u := upstream{relay: addr}
	give, err := o.slot(ctx, addr)
	if err != nil {
		return nil, u, false, err
	}
	defer give()
	if !trial && o.breaker.broken(addr) {
		return nil, u, false, ErrNoRelay // it failed while this flow waited
	}
	for begun := time.Now(); ; {
		s, err := o.dialOnce(ctx, u)
		if err == nil || ctx.Err() != nil {
			return s, u, false, err
		}
		// If another dial to the relay has succeeded meanwhile, so will this one.
		if now := time.Now(); o.breaker.fail(addr, begun, now) || now.Sub(begun) > slotTimeout {
			return nil, u, false, err
		}
	}
}

// dialOnce makes a connection. A dial that takes too long has an error of its own
// and not the context's, since there is time left to try another relay.
func (o *Opener) dialOnce(ctx context.Context, u upstream) (tunnel.Stream, error) {
	limited, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	begun := time.Now()
	s, err := o.dial(limited, u)
	switch {
	case err == nil:
		o.breaker.succeed(u.relay, time.Now())
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		err = fmt.Errorf("dial relay %s: no connection within %v", u.relay, time.Since(begun).Round(100*time.Millisecond))
	}
	return s, err
}

// fresh is a connection for a pool.
func (o *Opener) fresh(ctx context.Context, u upstream) (tunnel.Stream, error) {
	if u.line.Session == "" { // a line's handshake is mostly a wait for the laptop
		give, err := o.slot(ctx, u.relay)
		if err != nil {
			return nil, err
		}
		defer give()
	}
	return o.dialOnce(ctx, u)
}

// slot waits until a handshake with a relay may be made. The caller gives the slot back.
func (o *Opener) slot(ctx context.Context, addr string) (give func(), err error) {
	t := time.NewTimer(slotTimeout)
	defer t.Stop()
	for {
		select {
		case o.slots <- struct{}{}:
			return func() { <-o.slots }, nil
		case <-ctx.Done():
			return nil, fmt.Errorf("wait to dial a relay: %w", ctx.Err())
		case now := <-t.C:
			left := slotTimeout - now.Sub(o.breaker.workedAt(addr))
			if left <= 0 {
				return nil, fmt.Errorf("too many connections at once: no handshake with relay %s has succeeded for %v", addr, slotTimeout)
			}
			t.Reset(left)
		}
	}
}
