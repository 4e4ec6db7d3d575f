package relay

import (
	"context"
	"errors"

	"github.com/kubectl-intercept/kubectl-intercept/manager/authz"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/dialed"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/line"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/record"
)

// outbound connects a session's flows, which come that way, with Services and pods.
func (r *Relay) outbound(s *session, way string) tunnel.Handler {
	return func(ctx context.Context, o *frame.Open, in tunnel.Incoming) error {
		if !o.Supported(frame.Dialed) {
			return frame.ErrUnsupported
		}
		if asksTraffic(o) {
			return r.answerTraffic(ctx, s, in)
		}
		target, err := r.target(ctx, s, o)
		if err != nil {
			return err
		}
		in = &counted{in, s.traffic.of(way, handshake.Outbound, ""), len(o.First)}
		if err = dialed.Connect(ctx, o, in, target); err != nil {
			r.cfg.Log.Debug("outbound flow", "session", s.name, "target", target, "error", err)
		}
		return err
	}
}

// flowOf takes a flow on a carrier from the budget of a session. The caller must call
// release when the flow has ended.
func (r *Relay) flowOf(s *session) (release func(), err error) {
	if release, err = r.cfg.Budget.Flow(s.name, s.user()); err != nil {
		return nil, &frame.DeniedError{Reason: err.Error()}
	}
	return release, nil
}

// target returns the address to dial for a flow, if the session's user may dial it.
func (r *Relay) target(ctx context.Context, s *session, o *frame.Open) (string, error) {
	if o.Target == frame.TargetDNS && o.Protocol != frame.ICMP {
		return r.cfg.NameServer, nil
	}
	to, err := dialed.Target(o)
	if err != nil {
		return "", err
	}
	if o.Protocol != frame.ICMP && to.String() == r.cfg.NameServer {
		return r.cfg.NameServer, nil // the same as TargetDNS
	}
	err = r.cfg.Reach.Check(ctx, s.owner.Load().Subject, to)
	var denied *authz.DeniedError
	switch {
	case errors.As(err, &denied):
		r.cfg.Log.Info("outbound flow denied", "session", s.name, "reason", err)
		return "", &frame.DeniedError{Reason: denied.Error()}
	case err != nil:
		r.cfg.Log.Warn("outbound flow cannot be checked", "session", s.name, "error", err)
		return "", err
	}
	return to.String(), nil
}

// serveOutboundLine serves a line on which the session opens flows: the relay itself
// is its other end. It calls release when the line is closed.
func (r *Relay) serveOutboundLine(s *session, o offer, hello *handshake.LineHello, release func()) {
	conn := o.conn
	defer release()
	defer conn.Close()
	stop := context.AfterFunc(s.ctx, func() { conn.Close() })
	defer stop()
	if err := handshake.WriteLineAssigned(o.said, &s.lines.secret, hello, &handshake.LineAssigned{Agent: r.ownPin, Pod: r.cfg.Namespace + "/" + r.cfg.Pod}); err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, handshakeTimeout)
	f, err := line.Client(ctx, record.NewConn(conn), r.own, s.lines.pin)
	cancel()
	if err != nil {
		r.cfg.Log.Debug("outbound line", "session", s.name, "error", err)
		return
	}
	defer s.traffic.of(wayLine, handshake.Outbound, "").line()()
	line.Serve(s.ctx, f, func(*frame.Open) bool { return true }, r.outbound(s, wayLine))
}
