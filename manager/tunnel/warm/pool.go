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
	warmMax = 16 // after a burst; age makes the pool shrink again
	// wantMax is how many connections the pool dials ahead. It has room for more: in
	// a pool full of them, a connection that a flow gives back would find no room,
	// and every flow would cost a new connection.
	wantMax = warmMax / 2
	warmAge = 60 * time.Second
	// After a failed dial the pool pauses. The pause doubles with each failure.
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

	mu       sync.Mutex
	idle     []*conn
	want     int
	dialing  int
	failed   bool // the last background dial
	pauseFor time.Duration
	wg       sync.WaitGroup
}

// conn is an idle connection. Its watcher reads from it: until an Open, the peer
// sends nothing and may only close it.
type conn struct {
	stream tunnel.Stream
	since  time.Time
	done   chan error
}

// New returns a pool that fills itself with connections from dial, which are ready
// for an Open frame. Its background work ends with ctx.
func New(ctx context.Context, dial func(context.Context) (tunnel.Stream, error)) *Pool {
	p := &Pool{dial: dial, want: Min}
	p.ctx, p.stop = context.WithCancel(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refill()
	return p
}

// Get returns an idle connection, or nil. The connection may turn out to be stale.
func (p *Pool) Get() tunnel.Stream {
	for {
		p.mu.Lock()
		n := len(p.idle)
		if n == 0 {
			// A burst has emptied the pool: keep more for the next one.
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

// take ends the watcher and says whether the connection still works.
func (w *conn) take() bool {
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

// refill starts to dial what is missing. The caller holds p.mu.
func (p *Pool) refill() {
	if p.failed {
		return // the pause ends with a refill
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
	p.pauseFor = 0
	p.mu.Unlock()
	if !p.Put(s) {
		s.Close()
	}
}

// Put adds an idle connection. It returns false if there are enough or the pool is
// closed; then the caller keeps the connection.
func (p *Pool) Put(s tunnel.Stream) bool {
	w := &conn{stream: s, since: time.Now(), done: make(chan error, 1)}
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
	p.pauseFor = min(max(2*p.pauseFor, pauseMin), pauseMax)
	t := time.NewTimer(p.pauseFor)
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
