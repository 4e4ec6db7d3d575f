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
	ctx, cancel := c.patience(ctx)
	defer cancel()
	select {
	case s.token <- struct{}{}:
	case <-ctx.Done():
		return nil, c.gaveUp(ctx)
	}
	if s.stream != nil && !s.stream.broken() {
		return s.stream, nil
	}
	if s.stream != nil {
		s.stream.Close()
		s.stream = nil
	}
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		stream, err := open(ctx)
		if err == nil {
			c.reached()
			s.stream = stream
			return stream, nil
		}
		c.missed()
		select {
		case <-time.After(pause):
		case <-c.closed:
			<-s.token
			return nil, ErrUnavailable
		case <-ctx.Done():
			<-s.token
			return nil, errors.Join(c.gaveUp(ctx), err)
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
// wait: it may be there again.
const lastTry = time.Second

// patience bounds the wait of a call. It counts from when the pod was out of reach first, so
// that a program that reads a thousand files does not wait a thousand times.
func (c *Client) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	wait := c.wait
	if since := c.since.Load(); since != 0 {
		wait = max(lastTry, c.wait-time.Since(time.Unix(0, since)))
	}
	return context.WithTimeout(ctx, wait)
}

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
	case <-r.c.closed:
		return false
	}
}

func (c *Client) reached() { c.since.Store(0) }
func (c *Client) missed()  { c.since.CompareAndSwap(0, time.Now().UnixNano()) }

// gaveUp tells an interrupted call from one that has waited long enough.
func (c *Client) gaveUp(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return ErrUnavailable
}

// guarded closes a stream on which somebody waits, and nothing arrives.
type guarded struct {
	io.ReadWriteCloser
	arrived atomic.Int64
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
