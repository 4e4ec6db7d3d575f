package udp

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/forward"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

const (
	// idleTime is how long a flow may have no datagrams in either direction before it
	// ends.
	idleTime = 60 * time.Second
	// maxFirst is the size of the largest datagram that an open carries.
	maxFirst = 16 << 10
	// askAgain is how long a flow that the laptop refused goes to the application.
	// Then the flow ends, and the source's next datagram asks the laptop again.
	askAgain = 10 * time.Second
	// refusal is how long the laptop may take to say that its port is closed.
	refusal = 3 * time.Second
)

// flow is one UDP conversation: the datagrams from and to one source.
type flow struct {
	key   key
	route *forward.Route // nil: the flow goes to the application
	in    chan []byte
	ctx   context.Context
	end   context.CancelFunc
	idle  *time.Timer  // ends the flow
	last  atomic.Int64 // when a datagram moved, in Unix nanoseconds
}

func newFlow(ctx context.Context, k key, r *forward.Route) *flow {
	f := &flow{key: k, route: r, in: make(chan []byte, queue)}
	f.ctx, f.end = context.WithCancel(ctx)
	f.last.Store(time.Now().UnixNano())
	f.idle = time.AfterFunc(idleTime, f.end)
	return f
}

// alive notes that a datagram has moved, and restarts the idle timer.
func (f *flow) alive() {
	f.idle.Reset(idleTime)
	f.last.Store(time.Now().UnixNano())
}

func (f *flow) moved(in, out int) {
	f.alive()
	f.route.Moved(in, out)
}

// serve serves a flow until its end.
func (l *Listener) serve(f *flow) {
	defer l.forget(f)
	defer f.idle.Stop()
	defer f.end()
	first, ok := l.next(f)
	if !ok {
		return
	}
	if f.route != nil {
		err := l.laptop(f, first)
		if err == nil || f.ctx.Err() != nil || !l.to.FallsBack(f.route, err) {
			return
		}
	}
	l.toApplication(f, first)
}

// laptop moves the datagrams of a flow, of which first is the first, between the
// source and the laptop of the route. It returns an error, with the reason, if the
// laptop did not take the flow.
func (l *Listener) laptop(f *flow, first []byte) error {
	open := &frame.Open{Protocol: frame.UDP, Source: f.key.source}
	if len(first) <= maxFirst {
		open.First = first
	}
	laptop, err := l.to.Open(f.ctx, f.route, open)
	if err != nil {
		return err
	}
	if broke := l.toLaptop(f, laptop, first, open.First != nil); broke != nil {
		return notTaken(broke)
	}
	return nil
}

// next waits for the next datagram of the flow. It returns false when the flow has
// ended.
func (l *Listener) next(f *flow) ([]byte, bool) {
	select {
	case p := <-f.in:
		l.queued.Add(-int64(len(p)))
		return p, true
	case <-f.ctx.Done():
		return nil, false
	}
}
