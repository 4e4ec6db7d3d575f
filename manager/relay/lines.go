package relay

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
	"github.com/kubectl-intercept/kubectl-intercept/manager/socket"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
)

const (
	// idleMax bounds the idle lines of a session.
	idleMax = 16
	// idleWait is how long an agent waits for an idle line.
	idleWait = time.Second
	// frameTimeout bounds the writing of a small frame.
	frameTimeout = 2 * time.Second
)

// idleLine is a line that a session has offered and that no agent has.
type idleLine struct {
	offer
	hello *handshake.LineHello
}

// assignedLine is a line that an agent has.
type assignedLine struct {
	pod     pki.Pod
	request *handshake.LineRequest
	conn    *net.TCPConn // to the session
}

// lines are those of one session. They are safe for concurrent use.
type lines struct {
	ctx    context.Context // of the session
	secret handshake.Secret
	pin    handshake.Pin // of the session's certificate
	idle   chan *idleLine

	mu       sync.Mutex
	assigned map[*assignedLine]struct{}
}

// newLines returns no lines. All that are added close when ctx ends.
func newLines(ctx context.Context, secret handshake.Secret, pin handshake.Pin) *lines {
	s := &lines{ctx: ctx, secret: secret, pin: pin, idle: make(chan *idleLine, idleMax), assigned: map[*assignedLine]struct{}{}}
	context.AfterFunc(ctx, func() {
		s.closeIdle()
		s.closeAssigned(func(*assignedLine) bool { return true })
	})
	return s
}

// offer adds an idle line. It owns the connection unless it returns an error.
func (s *lines) offer(l *idleLine) error {
	select {
	case s.idle <- l:
	default:
		return errors.New("the session has enough idle lines")
	}
	if s.ctx.Err() != nil {
		s.closeIdle() // the session has ended meanwhile
	}
	return nil
}

// closeIdle closes all idle lines.
func (s *lines) closeIdle() {
	for {
		select {
		case l := <-s.idle:
			l.conn.Close()
		default:
			return
		}
	}
}

// keepalive writes to every idle line, and closes those on which that fails.
func (s *lines) keepalive() {
	for range len(s.idle) {
		select {
		case l := <-s.idle:
			l.conn.SetWriteDeadline(time.Now().Add(frameTimeout))
			if handshake.WriteLineKeepalive(l.said) != nil || s.offer(l) != nil {
				l.conn.Close()
			}
		default:
		}
	}
}

// assign gives an idle line to the agent of a pod, and tells the session. It returns
// nil if no idle line comes in time. The caller must call end.
func (s *lines) assign(pod pki.Pod, q *handshake.LineRequest, agent handshake.Pin) *assignedLine {
	to := &handshake.LineAssigned{Agent: agent, Pod: pod.String(), Intercept: q.Intercept, InterceptUID: q.InterceptUID, FromSession: q.FromSession}
	t := time.NewTimer(idleWait)
	defer t.Stop()
	for {
		select {
		case l := <-s.idle:
			l.conn.SetWriteDeadline(time.Now().Add(frameTimeout))
			if s.tell(l, to) {
				return s.add(&assignedLine{pod, q, l.conn})
			}
			l.conn.Close() // the session had closed it: try the next one
		case <-t.C:
			return nil
		case <-s.ctx.Done():
			return nil
		}
	}
}

// tell tells the session which agent has the line.
func (s *lines) tell(l *idleLine, to *handshake.LineAssigned) bool {
	if gone(l.conn) || handshake.WriteLineAssigned(l.said, &s.secret, l.hello, to) != nil {
		return false
	}
	return l.conn.SetWriteDeadline(time.Time{}) == nil
}

// gone says whether the session has closed an idle line, or has sent something,
// which it must not do yet.
func gone(c *net.TCPConn) bool {
	quiet, err := socket.Quiet(c)
	return err != nil || !quiet
}

func (s *lines) add(l *assignedLine) *assignedLine {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.assigned[l] = struct{}{}
	if s.ctx.Err() != nil {
		l.conn.Close()
	}
	return l
}

// end closes an assigned line.
func (s *lines) end(l *assignedLine) {
	l.conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.assigned, l)
}

// closeAssigned closes the assigned lines of which over is true.
func (s *lines) closeAssigned(over func(*assignedLine) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.assigned {
		if over(l) {
			l.conn.Close()
		}
	}
}
