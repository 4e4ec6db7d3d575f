// Package warm keeps connections that are ready before a flow needs one.
package warm

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
)

const (
	// Min is how many connections a pool keeps at least.
	Min     = 2
	warmMax = 16 // for a burst, shrinking again by age
	// wantMax is how many are dialled ahead. There is room for more: where the
	// pool was full with them, a connection that a flow gives back would have
	// none, and every flow would cost a new one.
	wantMax = warmMax / 2
	warmAge = 60 * time.Second
	// What failed is tried again after a pause that doubles.
	pauseMin = 2 * time.Second
	pauseMax = 30 * time.Second
)

// Pool keeps a few connections that have shaken hands already, since a TLS
// handshake costs more than all the rest of a flow's beginning. It is safe for
// concurrent use.
type Pool struct {
	dial func(context.Context) (tunnel.Stream, error)
	ctx  context.Context // of the background work
	stop context.CancelFunc

	mu      sync.Mutex
	idle    []*warm
	want    int
	dialing int
	failed  bool // the last background dial
	rest    time.Duration
	wg      sync.WaitGroup
}

// warm is an idle connection; its watcher reads, for the relay sends nothing
// before an Open except that it closes.
type warm struct {
	stream tunnel.Stream
	since  time.Time
	done   chan error
}

// New begins to fill a pool with what dial returns: connections that
// are ready for an Open frame. Its work ends with ctx.
func New(ctx context.Context, dial func(context.Context) (tunnel.Stream, error)) *Pool {
	p := &Pool{dial: dial, want: Min}
	p.ctx, p.stop = context.WithCancel(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refill()
	return p
}

// Get returns a warm connection, which may turn out to be stale, or nil.
func (p *Pool) Get() tunnel.Stream {
	for {
		p.mu.Lock()
		n := len(p.idle)
		if n == 0 {
			// A burst outran the pool: keep more, for its next wave.
			p.want = min(p.want+1, wantMax)
			p.refill()
			p.mu.Unlock()
			return nil
		}
		w := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.refill()
		p.mu.Unlock()
		if w.take() {
			return w.stream
		}
	}
}

// take ends the watcher and says whether the connection is still good.
func (w *warm) take() bool {
	w.stream.SetReadDeadline(time.Unix(1, 0))
	err := <-w.done
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		w.stream.Close()
		return false
	}
	return w.stream.SetReadDeadline(time.Time{}) == nil
}

// Idle is the number of connections that are ready.
func (p *Pool) Idle() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle)
}

// refill starts dialling what is missing. The caller holds p.mu.
func (p *Pool) refill() {
	if p.failed {
		return // the pause in connect ends with a refill
	}
	for len(p.idle)+p.dialing < p.want && p.ctx.Err() == nil {
		p.dialing++
		p.wg.Go(p.connect)
	}
}

func (p *Pool) connect() {
	s, err := p.dial(p.ctx)
	if err != nil {
		p.mu.Lock()
		p.dialing--
		first := !p.failed
		p.failed = true
		p.mu.Unlock()
		if first {
			p.pause()
		}
		return
	}
	p.mu.Lock()
	p.dialing--
	p.rest = 0
	p.mu.Unlock()
	if !p.Put(s) {
		s.Close()
	}
}

// Put adds an idle connection; false when there are enough, or the pool is
// closed.
func (p *Pool) Put(s tunnel.Stream) bool {
	w := &warm{stream: s, since: time.Now(), done: make(chan error, 1)}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil || len(p.idle) >= warmMax {
		return false
	}
	p.idle = append(p.idle, w)
	p.wg.Go(func() { p.watch(w) })
	return true
}

// pause waits before the next dial after one that failed.
func (p *Pool) pause() {
	p.mu.Lock()
	p.rest = min(max(2*p.rest, pauseMin), pauseMax)
	t := time.NewTimer(p.rest)
	p.mu.Unlock()
	defer t.Stop()
	select {
	case <-p.ctx.Done():
	case <-t.C:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = false
	p.refill()
}
