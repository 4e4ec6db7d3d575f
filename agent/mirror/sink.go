package mirror

import (
	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/buffer"
)

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
			m.lose(s.lost() - 1) // the message that is dropped is counted already
			s = nil
		}
	}
	if s != nil {
		tunnel.CloseWrite(s)
		s.wait()
		m.lose(s.lost())
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

// send sends a part on s, or on a new stream if s takes no more messages and one begins. It
// returns the stream for what follows; nil, if there is none.
func (m *Mirror) send(s *sink, p part) *sink {
	if s != nil && p.first {
		s = m.renew(s)
	}
	switch {
	case s == nil && !p.first:
		return nil
	case s == nil:
		stream, err := m.target.Open(m.ctx, *p.buf)
		if err != nil {
			m.missed(err)
			return nil
		}
		s = m.newSink(stream)
		s.asked(*p.buf)
		go s.run()
	default:
		if p.first {
			s.asked(*p.buf)
		}
		if _, err := s.Write(*p.buf); err != nil {
			s.drop()
			m.lose(max(s.lost(), 1))
			return nil
		}
	}
	m.target.Moved(len(*p.buf), 0)
	return s
}

// renew returns the stream for a message that begins; nil, if it needs a new one. Once a
// program has taken no more messages on a stream that had them, each message waits until
// those before it are answered.
func (m *Mirror) renew(s *sink) *sink {
	if m.patient {
		s.settle()
	}
	last, ended := s.state()
	if !last && !ended {
		return s
	}
	lost := s.lost()
	m.patient = m.patient || last || lost > 0
	m.lose(lost)
	if ended {
		s.close()
	} else {
		s.drop()
	}
	return nil
}

// lose counts n messages that were sent and that the laptop's program did not take.
func (m *Mirror) lose(n int) {
	for range n {
		m.missed(http.ErrCut)
	}
}

// missed counts a message that the laptop did not get, unless it is to have no more.
func (m *Mirror) missed(why error) {
	if m.ctx.Err() == nil {
		m.target.Missed(why)
	}
}
