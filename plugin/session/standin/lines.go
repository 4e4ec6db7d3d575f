// Package standin opens flows into pods for which the laptop stands in, on lines that the
// pods' agents hold ready.
package standin

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/line"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/warm"
)

// ErrNoLine says that the pod's agent offers no line.
var ErrNoLine = errors.New("the agent in the pod has not connected")

// Lines are the lines of a session, by intercept. They are safe for concurrent use.
type Lines struct {
	ctx     context.Context
	session string

	mu      sync.Mutex
	pools   map[string]*pool // by the UID of the intercept
	arrived chan struct{}    // closed when a line arrives
}

// pool is the idle lines of one intercept.
type pool struct {
	*warm.Pool
	pod string
}

// New returns no lines. All that are added close when ctx ends.
func New(ctx context.Context, session string) *Lines {
	return &Lines{ctx: ctx, session: session, pools: map[string]*pool{}, arrived: make(chan struct{})}
}

// Offer adds a line on which the session may open flows. It owns the line.
func (l *Lines) Offer(j *handshake.LineAssigned, c *line.Conn) {
	l.mu.Lock()
	p := l.pools[j.InterceptUID]
	if p == nil || p.pod != j.Pod {
		if p != nil { // the laptop stands in for another pod now
			go p.Close()
		}
		p = &pool{Pool: warm.New(l.ctx, offered), pod: j.Pod}
		l.pools[j.InterceptUID] = p
	}
	l.mu.Unlock()
	l.put(p, c)
}

// offered is the dial of a pool that does not dial: agents offer lines.
func offered(ctx context.Context) (tunnel.Stream, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// put adds an idle line to a pool, and tells those who wait for one.
func (l *Lines) put(p *pool, s tunnel.Stream) {
	if !p.Put(s) {
		s.Close()
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.arrived)
	l.arrived = make(chan struct{})
}

// Keep forgets the intercepts with other UIDs than these, and closes their idle lines.
func (l *Lines) Keep(uids map[string]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for uid, p := range l.pools {
		if !uids[uid] {
			go p.Close()
			delete(l.pools, uid)
		}
	}
}

// Pod is the pod that an intercept's lines lead to, "namespace/name"; empty if there are
// none.
func (l *Lines) Pod(uid string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.pools[uid]; p != nil {
		return p.pod
	}
	return ""
}

// Open opens a flow into the pod of the intercept that open names, and returns the stream
// once the agent has accepted. It waits for a line until ctx ends. The error is the agent's
// answer (see frame.Answered), or wraps ErrNoLine.
func (l *Lines) Open(ctx context.Context, open *frame.Open) (tunnel.Stream, error) {
	o := *open
	o.Session = l.session
	for {
		s, p, err := l.get(ctx, o.InterceptUID)
		if err != nil {
			return nil, err
		}
		v, reason, err := line.Ask(ctx, s, &o)
		if err != nil {
			s.Reset()
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			continue // the line was stale
		}
		c, ok := s.(*line.Conn)
		if ok {
			c.OnIdle(func(s tunnel.Stream) { l.put(p, s) })
		}
		if v == frame.Accepted {
			return s, nil
		}
		if ok {
			c.Refused()
		}
		s.Close()
		return nil, v.Err(reason)
	}
}

// get takes an idle line, and waits for one if there is none.
func (l *Lines) get(ctx context.Context, uid string) (tunnel.Stream, *pool, error) {
	for {
		l.mu.Lock()
		p, arrived := l.pools[uid], l.arrived
		l.mu.Unlock()
		if p != nil {
			if s := p.Get(); s != nil {
				return s, p, nil
			}
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("%w: %w", ErrNoLine, ctx.Err())
		}
	}
}
