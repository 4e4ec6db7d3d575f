// Package mirror sends copies of what a caller sends to a laptop, and throws away what the
// laptop answers.
package mirror

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/buffer"
)

const (
	// maxWaiting bounds the memory that the copies of one connection take while they wait.
	maxWaiting = 256 << 10
	// partCost is what a part takes beside its bytes.
	partCost = 64
	// linger is how long a laptop may take for what is left once the caller's connection
	// has ended, and lingerCost what a connection to a laptop takes until then.
	linger     = 5 * time.Second
	lingerCost = 64 << 10
)

// Mirror sends copies of the messages of one connection to one laptop. A message is an HTTP
// request, or all that a caller sends. A Mirror never makes its callers wait: a message that
// does not fit is dropped as a whole.
type Mirror struct {
	target http.Copier
	ctx    context.Context // ends when the laptop is to have no more
	cancel context.CancelFunc
	done   chan struct{} // closed when run has ended
	// answers makes what tells the answers on one connection apart; nil, if nothing does.
	answers func() Answers
	patient bool // see renew; run has it

	mu      sync.Mutex
	changed sync.Cond
	parts   []part // that wait
	size    int    // the memory that they take
	begun   bool   // the last message has parts
	whole   bool   // the last message fits so far
	closed  bool
	lingers *time.Timer // after Close; nil before, and once run has ended
}

// part is a part of a message.
type part struct {
	buf *[]byte // of the pool; nil if the rest of the message does not come
	// first says that a message begins.
	first bool
}

func (p *part) size() int {
	if p.buf == nil {
		return 0
	}
	return cap(*p.buf) + partCost
}

// New returns a Mirror that sends to a target until ctx ends, the target is gone, or a while
// after Close. Answers makes what tells the answers on each connection apart; it is nil where
// messages have none.
func New(ctx context.Context, t http.Copier, answers func() Answers) *Mirror {
	m := &Mirror{target: t, done: make(chan struct{}), answers: answers}
	m.changed.L = &m.mu
	m.ctx, m.cancel = context.WithCancel(ctx)
	go m.run()
	return m
}

// Begin begins a message with its first bytes.
func (m *Mirror) Begin(b []byte) { m.add(b, true) }

// Add adds bytes to the message that was begun last.
func (m *Mirror) Add(b []byte) { m.add(b, false) }

func (m *Mirror) add(b []byte, first bool) {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return
	}
	if first {
		m.target.Arrived()
		m.begun, m.whole = false, true
	}
	fits := true
	if m.whole && len(b) > 0 {
		p := part{buffer.Pool().Get(len(b)), first}
		if fits = m.size+p.size() <= maxWaiting && !m.target.Full(); fits {
			copy(*p.buf, b)
			m.parts = append(m.parts, p)
			m.begun = true
			m.grow(p.size())
			m.changed.Signal()
		} else {
			buffer.Pool().Put(p.buf)
		}
	}
	m.mu.Unlock()
	if !fits {
		m.Drop(http.ErrSlow)
	}
}

func (m *Mirror) grow(n int) {
	m.size += n
	m.target.Waits(n)
}

// Drop drops the message that is being added, if it was not dropped before.
func (m *Mirror) Drop(why error) {
	m.mu.Lock()
	dropped := m.whole
	m.whole = false
	if dropped && m.begun {
		m.takeBack()
	}
	m.mu.Unlock()
	if dropped {
		m.target.Missed(why)
	}
}

// takeBack removes what waits of the last message.
func (m *Mirror) takeBack() {
	for n := len(m.parts); n > 0; n-- {
		last := m.parts[n-1]
		if last.buf == nil {
			break
		}
		m.parts = m.parts[:n-1]
		m.grow(-last.size())
		buffer.Pool().Put(last.buf)
		if last.first {
			return
		}
	}
	m.parts = append(m.parts, part{})
	m.changed.Signal()
}

// next waits for the next part. It is false when there are no more.
func (m *Mirror) next() (part, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.parts) == 0 && m.ctx.Err() == nil {
		if m.closed {
			return part{}, false
		}
		m.changed.Wait()
	}
	if m.ctx.Err() != nil {
		return part{}, false
	}
	p := m.parts[0]
	m.parts = slices.Delete(m.parts, 0, 1)
	m.grow(-p.size())
	return p, true
}

// Close says that there are no more messages. Those that wait are sent nevertheless, if the
// laptop takes them soon.
func (m *Mirror) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	m.closed = true
	m.changed.Signal()
	if m.target.Full() {
		m.cancel()
		return
	}
	m.target.Waits(lingerCost)
	m.lingers = time.AfterFunc(linger, m.cancel)
}

// Cut drops the connection to the laptop at once, so that the laptop sees an error.
func (m *Mirror) Cut() { m.cancel() }

// Ended says that the connection to the laptop has ended, and that there is no other.
func (m *Mirror) Ended() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

// Wait waits until the connection to the laptop has ended.
func (m *Mirror) Wait() { <-m.done }
