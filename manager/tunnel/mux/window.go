package mux

import (
	"context"
	"sync"
	"time"
)

// Credit windows, in bytes.
const (
	// initialWindow is how much a sender may have under way before any grant.
	initialWindow = 256 << 10
	// maxWindow is how far a window grows.
	maxWindow = 16 << 20
	// growWithin is the time in which a flow must move half its window before the
	// window grows: it still grows on a path whose round trip is twice that time.
	growWithin = 250 * time.Millisecond
)

// Budget bounds how much windows may grow together, such as those of one session. It is safe
// for concurrent use.
type Budget struct {
	within *Budget // what this one is a part of; nil for none
	mu     sync.Mutex
	left   int
}

// NewBudget allows windows to grow by limit bytes above their initial size.
func NewBudget(limit int) *Budget { return &Budget{left: limit} }

// Part returns a Budget whose windows grow within limit and within b.
func (b *Budget) Part(limit int) *Budget { return &Budget{within: b, left: limit} }

func (b *Budget) take(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left < n || b.within != nil && !b.within.take(n) {
		return false
	}
	b.left -= n
	return true
}

func (b *Budget) give(n int) {
	b.mu.Lock()
	b.left += n
	b.mu.Unlock()
	if b.within != nil {
		b.within.give(n)
	}
}

// window is the receiver's side of a flow's credit.
type window struct {
	budget *Budget
	size   int // granted to the sender at any time
	owed   int // consumed and not granted yet
	left   int // what the sender may still send
	// Since consumed last decided whether to grow: bytes consumed, whether the
	// sender had to wait, and the time spent waiting for the network and the sink.
	seen      int
	blocked   bool
	net, sink time.Duration
}

func newWindow(b *Budget) *window {
	return &window{budget: b, size: initialWindow, left: initialWindow}
}

// arrived says that n bytes have come. It returns false if the sender had no credit for
// them.
func (w *window) arrived(n int) bool {
	w.left -= n
	return w.left >= 0
}

// consumed says that n bytes have been delivered, how long the flow waited for the
// network and then for the sink, and whether the sender had been out of credit. It
// returns how many bytes to grant now.
func (w *window) consumed(n int, net, sink time.Duration, blocked bool) int {
	w.owed += n
	w.seen += n
	w.net += net
	w.sink += sink
	w.blocked = w.blocked || blocked
	grow := 0
	if w.seen >= w.size/2 {
		// The sink had to wait although the sender had more to send, and half a
		// window did not take long. So the window limits the flow.
		if w.blocked && w.net > w.sink/4 && w.net+w.sink < growWithin && w.size < maxWindow && w.budget.take(w.size) {
			grow = w.size
			w.size *= 2
		}
		w.seen, w.blocked, w.net, w.sink = 0, false, 0, 0
	}
	if grow == 0 && w.owed < w.size/4 {
		return 0
	}
	grant := w.owed + grow
	w.owed = 0
	w.left += grant
	return grant
}

// release gives back to the budget what the window has grown by.
func (w *window) release() {
	w.budget.give(w.size - initialWindow)
	w.size = initialWindow
}

// credit is the sender's side. It is safe for concurrent use.
type credit struct {
	mu   sync.Mutex
	left int
	wake chan struct{} // holds a token when left may have become positive
}

func newCredit() *credit {
	return &credit{left: initialWindow, wake: make(chan struct{}, 1)}
}

// wait returns how many bytes may be sent, at least one, and whether the
// sender had to wait since the last call. It ends early when ctx does.
func (c *credit) wait(ctx context.Context) (n int, waited bool, err error) {
	for {
		c.mu.Lock()
		n = c.left
		c.mu.Unlock()
		if n > 0 {
			return n, waited, nil
		}
		waited = true
		select {
		case <-c.wake:
		case <-ctx.Done():
			return 0, waited, ctx.Err()
		}
	}
}

func (c *credit) spend(n int) {
	c.mu.Lock()
	c.left -= n
	c.mu.Unlock()
}

// grant adds credit. It never blocks.
func (c *credit) grant(n int) {
	c.mu.Lock()
	c.left += n
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}
