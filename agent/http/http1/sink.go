package http1

import (
	"context"
	"io"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/buffer"
)

// sink is a stream for copies of requests. It throws away what comes back.
type sink struct {
	tunnel.Stream
	over chan struct{} // closed at its end
}

// run sends the requests until there are no more.
func (m *mirror) run() {
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
			s.Reset()
			s = nil
		}
	}
	if s != nil {
		tunnel.CloseWrite(s)
		s.SetReadDeadline(time.Now().Add(linger))
		<-s.over
		s.Close()
	}
}

// send sends a part on s, or on a new stream if s has ended and a request begins. It
// returns the stream for what follows; nil, if there is none.
func (m *mirror) send(s *sink, p part) *sink {
	if s != nil && p.first && s.ended() {
		s.Close()
		s = nil
	}
	if s == nil {
		if !p.first {
			return nil
		}
		stream, err := m.target.Open(m.conn.ctx, *p.buf)
		if err != nil {
			m.target.Missed(err)
			return nil
		}
		s = &sink{stream, make(chan struct{})}
		m.conn.lives.Go(func() { s.run(m.conn.ctx, m.target.Gone()) })
	} else if _, err := s.Write(*p.buf); err != nil {
		s.Reset()
		m.target.Missed(err)
		return nil
	}
	m.target.Moved(len(*p.buf), 0)
	return s
}

// run reads until the stream ends. It resets the stream when ctx ends or the target is
// gone.
func (s *sink) run(ctx context.Context, gone <-chan struct{}) {
	go func() {
		select {
		case <-ctx.Done():
			s.Reset()
		case <-gone:
			s.Reset()
		case <-s.over:
		}
	}()
	defer close(s.over)
	io.Copy(io.Discard, s.Stream)
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
