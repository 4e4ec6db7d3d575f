package mirror

import (
	"context"
	"io"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/buffer"
)

// sink is a stream for copies. It throws away what comes back.
type sink struct {
	tunnel.Stream
	over chan struct{} // closed at its end
	// stop ends the watch that resets the stream with the mirror, which also ends a write
	// that the laptop does not take.
	stop func() bool
}

// run sends the messages until there are no more.
func (m *Mirror) run() {
	defer close(m.done)
	defer m.end()
	go m.watch()
	var s *sink
	for {
		p, ok := m.next()
		if !ok {
			break
		}
		if p.buf != nil {
			s = m.send(s, p)
			buffer.Pool().Put(p.buf)
		} else if s != nil {
			s.drop()
			s = nil
		}
	}
	if s != nil {
		tunnel.CloseWrite(s)
		<-s.over
		s.close()
	}
}

// watch ends run once the laptop is to have no more.
func (m *Mirror) watch() {
	select {
	case <-m.target.Gone():
		m.cancel()
	case <-m.ctx.Done():
	}
	m.forget()
}

// end gives back what is left once nothing more is sent.
func (m *Mirror) end() {
	m.cancel()
	m.forget()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lingers != nil {
		m.lingers.Stop()
		m.lingers = nil
		m.target.Waits(-lingerCost)
	}
}

// forget drops what waits.
func (m *Mirror) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed, m.whole = true, false
	for _, p := range m.parts {
		m.grow(-p.size())
		if p.buf != nil {
			buffer.Pool().Put(p.buf)
		}
	}
	m.parts = nil
	m.changed.Signal()
}

// send sends a part on s, or on a new stream if s has ended and a message begins. It
// returns the stream for what follows; nil, if there is none.
func (m *Mirror) send(s *sink, p part) *sink {
	if s != nil && p.first && s.ended() {
		s.close()
		s = nil
	}
	if s == nil {
		if !p.first {
			return nil
		}
		stream, err := m.target.Open(m.ctx, *p.buf)
		if err != nil {
			if m.ctx.Err() == nil {
				m.target.Missed(err)
			}
			return nil
		}
		s = &sink{stream, make(chan struct{}), context.AfterFunc(m.ctx, stream.Reset)}
		go s.run()
	} else if _, err := s.Write(*p.buf); err != nil {
		s.drop()
		if m.ctx.Err() == nil {
			m.target.Missed(http.ErrCut)
		}
		return nil
	}
	m.target.Moved(len(*p.buf), 0)
	return s
}

// run reads until the stream ends.
func (s *sink) run() {
	defer close(s.over)
	io.Copy(io.Discard, s.Stream)
}

// drop resets the stream.
func (s *sink) drop() {
	s.stop()
	s.Reset()
}

// ended says that the stream has ended.
func (s *sink) ended() bool {
	select {
	case <-s.over:
		return true
	default:
		return false
	}
}

// close closes a stream that has ended. What is below it may serve another flow then.
func (s *sink) close() {
	s.stop()
	s.SetReadDeadline(time.Time{})
	s.Close()
}
