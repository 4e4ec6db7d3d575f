package udp

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/relay"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

const (
	// idleTime ends a flow without datagrams in either direction.
	idleTime = 60 * time.Second
	// maxFirst is the largest datagram that travels with the open.
	maxFirst = 16 << 10
	// away is how long a flow that the application has stays there before the
	// laptop is asked again.
	away = 10 * time.Second
	// refusal is how long the laptop may take to say that its port is closed.
	refusal = 3 * time.Second
)

// flow is the datagrams of one source.
type flow struct {
	key    key
	target *target
	in     chan []byte
	ctx    context.Context
	end    context.CancelFunc
	idle   *time.Timer  // ends the flow
	last   atomic.Int64 // when a datagram moved, in Unix nanoseconds
}

func newFlow(ctx context.Context, k key, t *target) *flow {
	f := &flow{key: k, target: t, in: make(chan []byte, queue)}
	f.ctx, f.end = context.WithCancel(ctx)
	f.last.Store(time.Now().UnixNano())
	f.idle = time.AfterFunc(idleTime, f.end)
	return f
}

// alive says that a datagram has moved.
func (f *flow) alive() {
	f.idle.Reset(idleTime)
	f.last.Store(time.Now().UnixNano())
}

func (f *flow) moved(in, out int) {
	f.alive()
	f.target.counters.Moved(in, out)
}

// serve leads a flow to its end.
func (l *Listener) serve(f *flow) {
	defer l.forget(f)
	defer f.idle.Stop()
	defer f.end()
	first, ok := l.next(f)
	if !ok {
		return
	}
	r := f.target.route
	if r == nil { // nothing is intercepted
		l.toApplication(f, first)
		return
	}
	err := relay.ErrAway
	if len(r.Relays) > 0 {
		var laptop tunnel.Stream
		open := &frame.Open{Protocol: frame.UDP, Port: l.port, Source: f.key.source}
		if len(first) <= maxFirst {
			open.First = first
		}
		if laptop, err = l.opener.Open(f.ctx, r, open); err == nil {
			if broke := l.toLaptop(f, laptop, first, open.First != nil); broke != nil {
				err = notTaken(broke)
			}
		}
		if err == nil || f.ctx.Err() != nil {
			return
		}
		if r.NoFallback {
			f.target.counters.Missed(err)
			return
		}
	}
	f.target.counters.Missed(err)
	l.log.Debug("laptop did not take the datagrams, the application does", "source", f.key.source, "error", err)
	l.toApplication(f, first)
}

// next waits for a datagram of the flow; false when the flow ended.
func (l *Listener) next(f *flow) ([]byte, bool) {
	select {
	case p := <-f.in:
		l.queued.Add(-int64(len(p)))
		return p, true
	case <-f.ctx.Done():
		return nil, false
	}
}
