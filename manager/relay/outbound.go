package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/authz"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/datagram"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/line"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/record"
)

const (
	// outboundDial bounds connecting to a Service or pod.
	outboundDial = 10 * time.Second
	// outboundIdle ends a UDP flow.
	outboundIdle = time.Minute
)

// outbound connects a session's flows with Services and pods.
func (r *Relay) outbound(s *session) tunnel.Handler {
	return func(ctx context.Context, o *frame.Open, in tunnel.Incoming) error {
		if !o.Supported(frame.Dialed) {
			return frame.ErrUnsupported
		}
		target, err := r.target(ctx, s, o)
		if err != nil {
			return err
		}
		conn, stream, err := dialOut(ctx, o.Protocol, target)
		if err != nil {
			r.cfg.Log.Debug("outbound dial", "session", s.name, "target", target, "error", err)
			return refusal(err)
		}
		if err := in.Accept(); err != nil {
			stream.Reset()
			return err
		}
		if len(o.First) > 0 {
			if _, err := conn.Write(o.First); err != nil {
				stream.Reset()
				return fmt.Errorf("write to %s: %w", target, err)
			}
		}
		return in.Join(stream, nil)
	}
}

// target returns the address to dial for a flow, if the session's user may dial it.
func (r *Relay) target(ctx context.Context, s *session, o *frame.Open) (string, error) {
	if o.Target == frame.TargetDNS && o.Protocol != frame.ICMP {
		return r.cfg.NameServer, nil
	}
	to, err := parseTarget(o)
	if err != nil {
		return "", err
	}
	if o.Protocol != frame.ICMP && to.String() == r.cfg.NameServer {
		return r.cfg.NameServer, nil // the same as TargetDNS
	}
	err = r.cfg.Reach.Check(ctx, s.subject, to)
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

// parseTarget parses Open.Target. An echo has port 0.
func parseTarget(o *frame.Open) (netip.AddrPort, error) {
	if o.Protocol == frame.ICMP {
		a, err := netip.ParseAddr(o.Target)
		if err != nil {
			return netip.AddrPort{}, &frame.DeniedError{Reason: fmt.Sprintf("%q is not an address", o.Target)}
		}
		return netip.AddrPortFrom(a.Unmap(), 0), nil
	}
	to, err := netip.ParseAddrPort(o.Target)
	if err != nil {
		return netip.AddrPort{}, &frame.DeniedError{Reason: fmt.Sprintf("%q is not an address and a port", o.Target)}
	}
	return to, nil
}

// refusal returns the answer to a flow whose dial failed: one of the frame package's
// errors if the target or the network is the cause, and err otherwise.
func refusal(err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
		return frame.ErrRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTDOWN),
		errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EINVAL):
		return frame.ErrUnreachable // a packet filter causes EACCES and EPERM, an address that no host can have EINVAL
	case errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return frame.ErrTimedOut
	}
	return err
}

// dialOut returns a connection, and the same connection as a Stream.
func dialOut(ctx context.Context, p frame.Protocol, target string) (net.Conn, tunnel.Stream, error) {
	d := net.Dialer{Timeout: outboundDial}
	switch p {
	case frame.UDP:
		c, err := d.DialContext(ctx, "udp", target)
		if err != nil {
			return nil, nil, err
		}
		return c, datagram.New(c, outboundIdle), nil
	case frame.ICMP:
		to, err := netip.ParseAddrPort(target)
		if err != nil {
			return nil, nil, err
		}
		c, err := dialEcho(to.Addr())
		if err != nil {
			return nil, nil, err
		}
		return c, datagram.New(c, outboundIdle), nil
	}
	c, err := d.DialContext(ctx, "tcp", target)
	if err != nil {
		return nil, nil, err
	}
	t, ok := c.(*net.TCPConn)
	if !ok {
		c.Close()
		return nil, nil, fmt.Errorf("dial %s: not a TCP connection", target)
	}
	return t, tunnel.NewTCP(t), nil
}

// serveOutboundLine serves a line on which the session opens flows: the relay itself
// is its other end.
func (r *Relay) serveOutboundLine(s *session, conn *net.TCPConn, hello *handshake.LineHello) {
	defer conn.Close()
	stop := context.AfterFunc(s.ctx, func() { conn.Close() })
	defer stop()
	if err := handshake.WriteLineAssigned(conn, s.lines.keys, hello, &handshake.LineAssigned{Agent: r.ownPin, Pod: r.cfg.Namespace + "/" + r.cfg.Pod}); err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, handshakeTimeout)
	f, err := line.Client(ctx, record.NewConn(conn), r.own, s.lines.pin)
	cancel()
	if err != nil {
		r.cfg.Log.Debug("outbound line", "session", s.name, "error", err)
		return
	}
	line.Serve(s.ctx, f, func(*frame.Open) bool { return true }, r.outbound(s))
}
