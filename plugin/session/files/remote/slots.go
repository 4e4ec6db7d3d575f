package remote

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"
)

// opened is a stream in use.
type opened interface {
	io.Closer
	// broken says that the stream is of no more use.
	broken() bool
}

// slot holds one stream, or nil. Whoever has taken the token may change that.
type slot struct {
	token  chan struct{}
	stream opened
	users  atomic.Int32
}

func newSlots(n int) []*slot {
	all := make([]*slot, n)
	for i := range all {
		all[i] = &slot{token: make(chan struct{}, 1)}
	}
	return all
}

// idlest returns the slot with the fewest users, and counts one more until done is called.
func idlest(all []*slot) (s *slot, done func()) {
	s = all[0]
	for _, other := range all[1:] {
		if other.users.Load() < s.users.Load() {
			s = other
		}
	}
	s.users.Add(1)
	return s, func() { s.users.Add(-1) }
}

// take returns the slot's stream, and opens it if there is none. Nobody else can take it until
// release is called.
func (c *Client) take(ctx context.Context, s *slot, open func(context.Context) (opened, error)) (opened, error) {
	select {
	case s.token <- struct{}{}:
	case <-ctx.Done():
		return nil, gaveUp(ctx)
	}
	if s.stream != nil && !s.stream.broken() {
		return s.stream, nil
	}
	if s.stream != nil {
		s.stream.Close()
		s.stream = nil
	}
	stream, err := c.reach(ctx, open)
	if err != nil {
		<-s.token
		return nil, err
	}
	s.stream = stream
	return stream, nil
}

// reach opens a stream, and tries for as long as calls wait. That counts from when the pod
// was out of reach first, so that a program that reads a thousand files does not wait a
// thousand times: when the time is over, one call in a while tries shortly.
func (c *Client) reach(ctx context.Context, open func(context.Context) (opened, error)) (opened, error) {
	wait := c.wait
	if since := c.since.Load(); since != 0 {
		wait -= time.Since(time.Unix(0, since))
		if wait <= 0 && time.Since(time.Unix(0, c.tried.Load())) < lastTry {
			return nil, ErrUnavailable
		}
		wait = max(wait, lastTry)
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		stream, err := open(ctx)
		if err == nil {
			c.since.Store(0)
			return stream, nil
		}
		c.since.CompareAndSwap(0, time.Now().UnixNano())
		c.tried.Store(time.Now().UnixNano())
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			if c.life.Err() != nil {
				return nil, ErrUnavailable
			}
			return nil, errors.Join(gaveUp(ctx), err)
		}
	}
}

// release lets others use the slot.
func (s *slot) release() { <-s.token }

// The pauses between attempts to open a stream.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = time.Second
)

// lastTry is how long a call waits when the pod has been out of reach for longer than calls
// wait. In that time, other calls fail at once.
const lastTry = 2 * time.Second

// repeat says whether to do a call again whose stream broke, after a pause.
type repeat struct {
	c     *Client
	begun time.Time
	pause time.Duration
}

func (r *repeat) again(ctx context.Context) bool {
	if r.begun.IsZero() {
		r.begun = time.Now()
		return ctx.Err() == nil // at once: the stream was an old one
	}
	if time.Since(r.begun) > r.c.wait {
		return false
	}
	r.pause = min(max(firstPause, 2*r.pause), longestPause)
	select {
	case <-time.After(r.pause):
		return true
	case <-ctx.Done():
		return false
	case <-r.c.life.Done():
		return false
	}
}

// gaveUp tells an interrupted call from one that has waited long enough.
func gaveUp(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return ErrUnavailable
}

// guarded closes a stream on which somebody waits, and nothing arrives.
type guarded struct {
	io.ReadWriteCloser
	c       *Client
	arrived atomic.Int64
}

// open dials, and lets Close of the client close the stream.
func (c *Client) open(ctx context.Context) (*guarded, error) {
	stream, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	g := &guarded{ReadWriteCloser: stream, c: c}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life.Err() != nil {
		stream.Close()
		return nil, ErrUnavailable
	}
	c.streams[g] = true
	return g, nil
}

func (g *guarded) Close() error {
	g.c.mu.Lock()
	delete(g.c.streams, g)
	g.c.mu.Unlock()
	return g.ReadWriteCloser.Close()
}

// stuck is for how long nothing may arrive while an answer is due.
const stuck = 30 * time.Second

func (g *guarded) Read(b []byte) (int, error) {
	n, err := g.ReadWriteCloser.Read(b)
	g.arrived.Add(int64(n))
	return n, err
}

// watch closes the stream if nothing arrives until done is called.
func (g *guarded) watch() (done func()) {
	seen := g.arrived.Load()
	var timer *time.Timer
	stopped := make(chan struct{})
	timer = time.AfterFunc(stuck, func() {
		select {
		case <-stopped:
			return
		default:
		}
		if now := g.arrived.Load(); now != seen {
			seen = now
			timer.Reset(stuck)
			return
		}
		g.Close()
	})
	return func() {
		close(stopped)
		timer.Stop()
	}
}
