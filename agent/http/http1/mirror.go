package http1

import (
	"errors"
	"slices"
	"sync"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/buffer"
)

// maxMirrored bounds the bytes that wait to be copied to one target.
const maxMirrored = 256 << 10

var errSlow = errors.New("copies come faster than they are taken")

// mirror sends copies of the requests of one connection to one target, whose answers it
// throws away. It never makes the connection wait: a request that does not fit is dropped
// as a whole.
type mirror struct {
	conn   *conn
	target http.Target

	mu      sync.Mutex
	changed sync.Cond
	parts   []part // that wait
	size    int    // their bytes
	begun   bool   // the last request has parts
	whole   bool   // the last request fits so far
	closed  bool
}

// part is a part of a request.
type part struct {
	buf *[]byte // of the pool; nil if the rest of the request does not come
	// first says that a request begins.
	first bool
}

// mirrors returns those of the targets.
func (c *conn) mirrorsOf(targets []http.Target) []*mirror {
	var list []*mirror
	for _, t := range targets {
		i := slices.IndexFunc(c.mirrors, func(m *mirror) bool { return m.target == t })
		if i < 0 {
			m := &mirror{conn: c, target: t}
			m.changed.L = &m.mu
			c.lives.Go(m.run)
			i, c.mirrors = len(c.mirrors), append(c.mirrors, m)
		}
		list = append(list, c.mirrors[i])
	}
	return list
}

// add adds bytes to a request, which begins with the first of them.
func (m *mirror) add(b []byte, first bool) {
	if first {
		m.target.Arrived()
	}
	m.mu.Lock()
	if first {
		m.begun, m.whole = false, true
	}
	fits := m.size+len(b) <= maxMirrored
	if m.whole && fits && len(b) > 0 {
		buf := buffer.Pool().Get(len(b))
		copy(*buf, b)
		m.parts = append(m.parts, part{buf, first})
		m.begun = true
		m.size += len(b)
		m.changed.Signal()
	}
	m.mu.Unlock()
	if !fits {
		m.drop(errSlow)
	}
}

// drop drops the request that is being added.
func (m *mirror) drop(why error) {
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

// takeBack removes what waits of the last request.
func (m *mirror) takeBack() {
	for n := len(m.parts); n > 0; n-- {
		last := m.parts[n-1]
		if last.buf == nil {
			break
		}
		m.parts = m.parts[:n-1]
		m.size -= len(*last.buf)
		buffer.Pool().Put(last.buf)
		if last.first {
			return
		}
	}
	m.parts = append(m.parts, part{})
	m.changed.Signal()
}

// next waits for the next part. It is false when there are no more.
func (m *mirror) next() (part, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.parts) == 0 {
		if m.closed {
			return part{}, false
		}
		m.changed.Wait()
	}
	p := m.parts[0]
	m.parts = slices.Delete(m.parts, 0, 1)
	if p.buf != nil {
		m.size -= len(*p.buf)
	}
	return p, true
}

// close says that there are no more requests. Those that wait are sent nevertheless.
func (m *mirror) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.changed.Signal()
}
