package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-intercept/kubectl-intercept/manager/budget"
	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
	"github.com/kubectl-intercept/kubectl-intercept/manager/plan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/record"
)

var errNoCarrier = errors.New("the session has no carrier at this replica")

// offered accepts a line.
func (r *Relay) offered(conn *net.TCPConn, visit *budget.Visit) {
	defer visit.Known()
	conn.SetDeadline(time.Now().Add(handshakeTimeout))
	r.welcome(offer{conn, conn}, func(*session) bool { return true })
}

// offer is a connection on which a session offers a line. What it says before agent and
// session speak with each other goes by said: the connection itself, or TLS on it.
type offer struct {
	conn *net.TCPConn
	said io.ReadWriter
}

// welcome accepts a line of a session for which owns is true, or closes the connection.
func (r *Relay) welcome(o offer, owns func(*session) bool) {
	if err := r.welcomeLine(o, owns); err != nil {
		r.cfg.Log.Debug("line refused", "reason", err)
		o.conn.Close()
	}
}

func (r *Relay) welcomeLine(o offer, owns func(*session) bool) error {
	hello, err := handshake.ReadLineHello(o.said)
	if err != nil {
		return err
	}
	s := r.session(hello.Session)
	if s == nil || s.generation != hello.Generation || !hello.Check(&s.lines.secret) || !owns(s) {
		handshake.WriteWelcome(o.said, &handshake.Welcome{Refusal: errNoCarrier.Error(), Version: r.cfg.Version, Pod: r.cfg.Pod})
		return errNoCarrier // the same words, so that an answer does not tell which names exist
	}
	release := func() {}
	if hello.Direction == handshake.Outbound {
		if release, err = r.cfg.Budget.Line(s.name, s.user()); err != nil {
			handshake.WriteWelcome(o.said, &handshake.Welcome{Refusal: err.Error(), Version: r.cfg.Version, Pod: r.cfg.Pod})
			return err
		}
	}
	if err := handshake.WriteWelcome(o.said, &handshake.Welcome{Version: r.cfg.Version, Pod: r.cfg.Pod}); err != nil {
		release()
		return err
	}
	o.conn.SetDeadline(time.Time{})
	if hello.Direction == handshake.Outbound {
		go r.serveOutboundLine(s, o, hello, release)
		return nil
	}
	return s.lines.offer(&idleLine{o, hello})
}

// ServeLine assigns a line to an agent that asks for one, and moves its bytes until
// it breaks. It owns the connection, which sits on a record.Conn and has shaken
// hands.
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
	var l *assignedLine
	var pin handshake.Pin
	verdict := frame.Accepted
	switch {
	case s == nil:
		verdict = frame.NoSession
	case !r.mayReach(s, pod, want):
		verdict = frame.Denied
	default:
		verdict = frame.NoLine
		release, err := r.cfg.Budget.Line(s.name, s.user())
		if err != nil {
			break
		}
		defer release()
		agentPin := handshake.PinOf(agent.ConnectionState().PeerCertificates[0])
		if l = s.lines.assign(pod, want, agentPin); l == nil {
			break
		}
		defer s.lines.end(l)
		verdict, pin = frame.Accepted, s.lines.pin
	}
	if handshake.WriteLineAnswer(agent, verdict, pin) != nil || l == nil {
		return
	}
	// From here on agent and session speak with each other.
	agent.SetDeadline(time.Time{})
	raw, ok := agent.NetConn().(*record.Conn)
	if !ok {
		return
	}
	conn, ok := raw.Conn.(*net.TCPConn)
	if !ok {
		return
	}
	direction := handshake.Inbound
	if want.FromSession {
		direction = handshake.Outbound
	}
	moved := s.traffic.of(wayLine, direction, want.Intercept)
	defer moved.line()()
	if splice(conn, l.conn, moved.moved) {
		r.check(s) // the agent gave up: does the laptop still answer?
	}
}

// mayReach says whether the plan of the pod has that intercept of that session: it sends
// flows there, or the session may send flows into the pod. For these, the session's user
// must be allowed to execute commands in the pod.
func (r *Relay) mayReach(s *session, pod pki.Pod, q *handshake.LineRequest) bool {
	ctx := context.Background()
	p, err := r.cfg.Planner.Pod(ctx, pod.Namespace, pod.Name, types.UID(pod.UID))
	if err != nil {
		return false
	}
	claim := plan.Claim{Intercept: q.Intercept, UID: q.InterceptUID, Session: q.Session}
	if !q.FromSession {
		return p.Routes(claim)
	}
	if !p.HasStandIn(claim) {
		return false
	}
	allowed, err := r.cfg.Reach.MayExec(ctx, s.owner.Load().Subject, pod.Namespace, pod.Name)
	if err != nil {
		r.cfg.Log.Warn("a stand-in cannot be checked", "session", s.name, "pod", pod, "error", err)
	}
	return allowed
}
