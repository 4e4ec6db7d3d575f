package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/socket"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/record"
)

const (
	// spareMax bounds the lines that a session may offer at once.
	spareMax = 16
	// spareWait is how long an agent waits for the session to offer one.
	spareWait = time.Second
	// frameTimeout bounds writing a small frame.
	frameTimeout = 2 * time.Second
)

// spare is a line that a session offers and no agent has.
type spare struct {
	conn  *net.TCPConn
	hello *handshake.LineHello
}

// takenLine is a spare that an agent has, or will have in a moment.
type takenLine struct {
	pod  pki.Pod
	want *handshake.LineRequest
	conn *net.TCPConn // the session's end
}

var errNoCarrier = errors.New("the session has no carrier at this replica")

// Lines accepts the lines that sessions offer: HTTP Upgrades in the clear. The
// frames on them are authenticated, and what follows is TLS between agent and
// session.
func (r *Relay) Lines() http.Handler { return http.HandlerFunc(r.offer) }

func (r *Relay) offer(w http.ResponseWriter, q *http.Request) {
	if q.URL.Path != handshake.LineUpgradePath || q.Header.Get("Upgrade") != handshake.LineUpgradeProtocol {
		w.Header().Set("Upgrade", handshake.LineUpgradeProtocol)
		http.Error(w, "what is not TLS speaks "+handshake.LineUpgradeProtocol+" only", http.StatusUpgradeRequired)
		return
	}
	c, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	conn, ok := c.(*net.TCPConn)
	if !ok || buffered.Reader.Buffered() > 0 { // nothing may be sent before the 101
		c.Close()
		return
	}
	if err := r.welcomeLine(conn); err != nil {
		r.log.Debug("line refused", "reason", err)
		conn.Close()
	}
}

func (r *Relay) welcomeLine(conn *net.TCPConn) error {
	conn.SetDeadline(time.Now().Add(handshakeTimeout))
	_, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+handshake.LineUpgradeProtocol+"\r\n\r\n")
	if err != nil {
		return err
	}
	hello, err := handshake.ReadLineHello(conn)
	if err != nil {
		return err
	}
	s := r.session(hello.Session)
	if s == nil || s.generation != hello.Generation || !hello.Check(s.keys) {
		handshake.WriteWelcome(conn, &handshake.Welcome{Refusal: errNoCarrier.Error(), Version: r.version, Pod: r.pod})
		return errNoCarrier // the same words, so that names cannot be probed
	}
	if err := handshake.WriteWelcome(conn, &handshake.Welcome{Version: r.version, Pod: r.pod}); err != nil {
		return err
	}
	conn.SetDeadline(time.Time{})
	if hello.Direction == handshake.Outbound {
		go r.serveOutboundLine(s, conn, hello)
		return nil
	}
	return s.put(&spare{conn, hello})
}

// put keeps a spare line.
func (s *session) put(l *spare) error {
	select {
	case s.spares <- l:
	default:
		return errors.New("enough lines to spare")
	}
	if s.ctx.Err() != nil {
		s.dropSpares() // the session ended meanwhile
	}
	return nil
}

// dropSpares closes what is kept.
func (s *session) dropSpares() {
	for {
		select {
		case l := <-s.spares:
			l.conn.Close()
		default:
			return
		}
	}
}

// keepSpares tells every spare line that it is wanted, and drops those that
// are gone.
func (s *session) keepSpares() {
	for range len(s.spares) {
		select {
		case l := <-s.spares:
			l.conn.SetWriteDeadline(time.Now().Add(frameTimeout))
			if handshake.WriteLineKeepalive(l.conn) != nil || s.put(l) != nil {
				l.conn.Close()
			}
		default:
		}
	}
}

// ServeLine serves an agent that asks for a line to a session, until the line
// breaks. It owns the connection, which has shaken hands on top of
// record.NewConn.
func (r *Relay) ServeLine(agent *tls.Conn) {
	defer agent.NetConn().Close()
	pod, ok := pki.PeerPod(agent.ConnectionState())
	if !ok {
		return
	}
	agent.SetDeadline(time.Now().Add(handshakeTimeout))
	want, err := handshake.ReadLineRequest(agent)
	if err != nil {
		return
	}
	s := r.session(want.Session)
	var l *takenLine
	verdict := frame.Accepted
	switch {
	case s == nil:
		verdict = frame.NoSession
	case !r.mayReach(pod, want):
		verdict = frame.Denied
	default:
		if l = s.join(pod, want, handshake.PinOf(agent.ConnectionState().PeerCertificates[0])); l == nil {
			verdict = frame.NoLine
		}
	}
	var pin handshake.Pin
	if l != nil {
		defer s.end(l)
		pin = s.pin
	}
	if handshake.WriteLineAnswer(agent, verdict, pin) != nil || l == nil {
		return
	}
	// From here on the two speak with each other.
	agent.SetDeadline(time.Time{})
	raw, ok := agent.NetConn().(*record.Conn)
	if !ok {
		return
	}
	conn, ok := raw.Conn.(*net.TCPConn)
	if !ok {
		return
	}
	if splice(conn, l.conn) {
		r.check(s) // the agent gave up: does the laptop live?
	}
}

// join tells the session of a spare line who will have it. It returns nil when
// there is none in time.
func (s *session) join(pod pki.Pod, want *handshake.LineRequest, agent handshake.Pin) *takenLine {
	j := &handshake.LineAssigned{Agent: agent, Pod: pod.String(), Intercept: want.Intercept, InterceptUID: want.InterceptUID}
	t := time.NewTimer(spareWait)
	defer t.Stop()
	for {
		select {
		case l := <-s.spares:
			l.conn.SetWriteDeadline(time.Now().Add(frameTimeout))
			if s.begin(l, j) {
				return s.add(&takenLine{pod, want, l.conn})
			}
			l.conn.Close() // it was gone; the next
		case <-t.C:
			return nil
		case <-s.ctx.Done():
			return nil
		}
	}
}

func (s *session) begin(l *spare, j *handshake.LineAssigned) bool {
	if gone(l.conn) || handshake.WriteLineAssigned(l.conn, s.keys, l.hello, j) != nil {
		return false
	}
	return l.conn.SetWriteDeadline(time.Time{}) == nil
}

// gone says that the session has closed a spare line, or spoken before its
// turn.
func gone(c *net.TCPConn) bool {
	quiet, err := socket.Quiet(c)
	return err != nil || !quiet
}

func (s *session) add(l *takenLine) *takenLine {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines[l] = struct{}{}
	if s.ctx.Err() != nil {
		l.conn.Close()
	}
	return l
}

func (s *session) end(l *takenLine) {
	l.conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lines, l)
}

// cut closes the lines for which which says so.
func (s *session) cut(which func(*takenLine) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.lines {
		if which(l) {
			l.conn.Close()
		}
	}
}

// mayReach says whether the pod's own plan sends that intercept to that
// session.
func (r *Relay) mayReach(pod pki.Pod, q *handshake.LineRequest) bool {
	ports, err := r.planner.Pod(context.Background(), pod.Namespace, pod.Name, types.UID(pod.UID))
	return err == nil && slices.ContainsFunc(ports, func(p *rpc.CapturePort) bool {
		return p.Route.Session == q.Session && p.Route.Intercept == q.Intercept && p.Route.InterceptUid == q.InterceptUID
	})
}
