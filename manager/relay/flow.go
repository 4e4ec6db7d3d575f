package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
	"github.com/kubectl-intercept/kubectl-intercept/manager/plan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
)

const (
	// warmLife bounds how long an agent keeps a connection without a flow.
	warmLife = 5 * time.Minute
	// confirmTimeout is what the laptop may take to dial a local port. The
	// agent gives up at about the same time.
	confirmTimeout = 2 * time.Second
)

// ServeFlow serves one connection of an agent, one flow after the other: it
// waits for the Open, passes the flow on and joins the two. It owns the
// connection, which has shaken hands on top of tunnel.NewRecordConn.
func (r *Relay) ServeFlow(conn *tls.Conn) {
	defer conn.NetConn().Close()
	pod, ok := pki.PeerPod(conn.ConnectionState())
	if !ok {
		return
	}
	agent, err := tunnel.NewFlowConn(conn)
	if err != nil {
		return
	}
	tunnel.ServeFlows(agent, func(s tunnel.Stream) { r.serveFlow(pod, s) })
}

// serveFlow serves one flow and closes the stream.
func (r *Relay) serveFlow(pod pki.Pod, agent tunnel.Stream) {
	defer agent.Close()
	agent.SetReadDeadline(time.Now().Add(warmLife))
	open, err := tunnel.ReadOpen(agent)
	if err != nil {
		return
	}
	agent.SetReadDeadline(time.Time{})
	flow, verdict := r.open(pod, open)
	if err := tunnel.WriteVerdict(agent, verdict); err != nil {
		if flow != nil {
			flow.Abort()
		}
		return
	}
	if verdict == tunnel.Accepted {
		flow.Join(agent, nil)
	}
}

// open finds out whether the pod may send this flow and where to, and opens
// it. The flow is not nil if and only if it is accepted.
func (r *Relay) open(pod pki.Pod, o *tunnel.Open) (*tunnel.OutFlow, tunnel.Verdict) {
	if !r.allowed(pod, o) {
		return nil, tunnel.Denied
	}
	s := r.session(o.Session)
	if s == nil {
		return nil, tunnel.NoSession
	}
	flow, err := s.group.Open(s.ctx, o)
	if err != nil {
		return nil, tunnel.NoSession
	}
	timer := time.AfterFunc(confirmTimeout, func() {
		flow.Abort()
		go r.check(s)
	})
	err = flow.Confirm()
	if timer.Stop() && err == nil {
		return flow, tunnel.Accepted
	}
	flow.Abort()
	switch {
	case errors.Is(err, tunnel.ErrRefused):
		return nil, tunnel.Refused
	case errors.Is(err, tunnel.ErrTimedOut):
		return nil, tunnel.TimedOut
	case errors.Is(err, tunnel.ErrDenied):
		return nil, tunnel.Denied
	}
	return nil, tunnel.NoSession
}

// allowed says whether the pod's own plan holds this very route.
func (r *Relay) allowed(pod pki.Pod, o *tunnel.Open) bool {
	p, err := r.planner.Pod(context.Background(), pod.Namespace, pod.Name, types.UID(pod.UID))
	return err == nil && p.RoutesPort(o.Port, rpc.Protocol(o.Protocol), plan.Claim{Intercept: o.Intercept, UID: o.InterceptUID, Session: o.Session})
}
