// Package patience bounds the wait for an answer. A peer that answers others has much to
// do, and is worth waiting for longer than one that answers nobody.
package patience

import (
	"sync"
	"time"
)

const (
	// Quiet is how long a peer that answers nobody may take.
	Quiet = 2 * time.Second
	// Most bounds the wait for a peer that answers others.
	Most = 10 * time.Second
)

// Timer is one wait.
type Timer struct {
	begun  time.Time
	last   func() time.Time
	giveUp func()

	mu    sync.Mutex
	timer *time.Timer // nil after the end
}

// Start begins a wait. It calls giveUp in a goroutine of its own once the peer has
// answered nobody for as long as Quiet, and at the latest after Most. last returns when
// the peer answered last, whoever asked; it may be called concurrently.
func Start(last func() time.Time, giveUp func()) *Timer {
	t := &Timer{begun: time.Now(), last: last, giveUp: giveUp}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer = time.AfterFunc(Quiet, t.look)
	return t
}

// Stop ends the wait. It returns true if giveUp has not been called, and never will be.
func (t *Timer) Stop() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	stopped := t.timer != nil
	if stopped {
		t.timer.Stop()
		t.timer = nil
	}
	return stopped
}

func (t *Timer) look() {
	if t.over() {
		t.giveUp()
	}
}

// over ends the wait, or continues it.
func (t *Timer) over() bool {
	now := time.Now()
	more := min(Quiet-now.Sub(t.last()), Most-now.Sub(t.begun))
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.timer == nil:
		return false // the answer has come meanwhile
	case more > 0:
		t.timer.Reset(more)
		return false
	}
	t.timer = nil
	return true
}
