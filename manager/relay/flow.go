package relay

import (
	"context"
	"crypto/tls"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
	"github.com/kubectl-intercept/kubectl-intercept/manager/plan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/line"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/mux"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/patience"
)

// idleTimeout bounds how long a connection of an agent may be without a flow.
const idleTimeout = 5 * time.Minute

// ServeFlow serves a connection of an agent, one flow after the other: it puts each
// flow on a carrier of its session. It owns the connection, which sits on a
// record.Conn and has shaken hands.
func (r *Relay) ServeFlow(conn *tls.Conn) {
	defer conn.NetConn().Close()
	pod, ok := pki.PeerPod(conn.ConnectionState())
	if !ok {
		return
	}
	agent, err := line.NewConn(conn)
	if err != nil {
		return
	}
	line.ServeEach(agent, func(s tunnel.Stream) { r.serveFlow(pod, s) })
}

// serveFlow serves one flow and closes the stream.
func (r *Relay) serveFlow(pod pki.Pod, agent tunnel.Stream) {
	defer agent.Close()
	agent.SetReadDeadline(time.Now().Add(idleTimeout))
	open, err := frame.ReadOpen(agent)
	if err != nil {
		return
	}
	agent.SetReadDeadline(time.Time{})
	s, verdict := r.receiver(pod, open)
	if s == nil {
		frame.WriteVerdict(agent, verdict)
		return
	}
	release, err := r.flowOf(s)
	if err != nil {
		frame.WriteRefusal(agent, err)
		return
	}
	defer release()
	flow, verdict := r.open(s, open)
	if err := frame.WriteVerdict(agent, verdict); err != nil {
		if flow != nil {
			flow.Abort()
		}
		return
	}
	if verdict == frame.Accepted {
		moved := s.traffic.of(wayCarrier, handshake.Inbound, open.Intercept)
		defer moved.begin()()
		moved.moved(0, len(open.First))
		flow.Join(agent, moved.moved)
	}
}

// receiver is the session that a flow names, if the pod may send it there; nil with the
// verdict otherwise.
func (r *Relay) receiver(pod pki.Pod, o *frame.Open) (*session, frame.Verdict) {
	if !o.Supported(frame.Captured, frame.Headers) {
		return nil, frame.Unsupported
	}
	if !r.allowed(pod, o) {
		return nil, frame.Denied
	}
	if s := r.session(o.Session); s != nil {
		return s, frame.Accepted
	}
	return nil, frame.NoSession
}

// open opens a flow to a session. It returns a flow if and only if the verdict is
// Accepted.
func (r *Relay) open(s *session, o *frame.Open) (*mux.OutFlow, frame.Verdict) {
	flow, err := s.group.Open(s.ctx, o)
	if err != nil {
		return nil, frame.NoSession
	}
	// The agent gives up at about the same time.
	wait := patience.Start(s.lastAnswer, func() {
		flow.Abort()
		go r.check(s)
	})
	err = flow.Confirm()
	inTime := wait.Stop()
	if inTime && (err == nil || frame.Answered(err)) {
		s.answered.Store(time.Now().UnixNano())
	}
	if inTime && err == nil {
		return flow, frame.Accepted
	}
	flow.Abort()
	v, _ := frame.AnswerOf(err)
	return nil, v
}

// allowed says whether the pod's own plan holds this very route.
func (r *Relay) allowed(pod pki.Pod, o *frame.Open) bool {
	p, err := r.cfg.Planner.Pod(context.Background(), pod.Namespace, pod.Name, types.UID(pod.UID))
	return err == nil && p.RoutesPort(o.Port, rpc.Protocol(o.Protocol), plan.Claim{Intercept: o.Intercept, UID: o.InterceptUID, Session: o.Session})
}
