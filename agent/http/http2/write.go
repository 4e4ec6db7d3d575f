package http2

import (
	"time"
)

const (
	// maxBatch is when DATA stays in the queue of its stream: so much waits to be written.
	maxBatch = 64 << 10
	// maxOut is when a peer that does not read is given up.
	maxOut = 8 << 20
	// lastWords is how long a peer has to read what is left at the end.
	lastWords = time.Second
)

// touch says that there is something to write. A peer that does not read what it asks for
// is given up.
func (l *leg) touch() {
	if len(l.out.b) > maxOut && l.conn != nil {
		l.conn.Reset()
	}
	if !l.dirty && !l.writing {
		l.dirty = true
		l.s.dirty = append(l.s.dirty, l)
	}
}

// kick lets everything be written that waits.
func (s *session) kick() {
	for i, l := range s.dirty {
		s.dirty[i] = nil
		l.dirty = false
		if l.conn != nil && !l.writing && (!l.closed || l.closing) {
			l.writing = true
			s.wg.Go(l.write)
		}
	}
	s.dirty = s.dirty[:0]
}

// write writes until there is nothing to write. A connection has no goroutine that
// writes while it is quiet.
func (l *leg) write() {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	for !l.closed || l.closing {
		l.pump()
		if len(l.out.b) == 0 {
			break
		}
		now := l.out
		l.out.b, l.out.box = nil, nil
		l.s.kick() // pump may have opened windows of others
		l.s.mu.Unlock()
		_, err := l.conn.Write(now.b)
		now.release()
		l.s.mu.Lock()
		if err != nil {
			l.conn.Reset() // what reads sees it
			break
		}
	}
	l.writing = false
	l.s.kick()
	switch {
	case !l.closing:
	case l.target == nil:
		l.conn.CloseWrite() // the caller may read what is left
	default:
		l.conn.Close()
	}
}
