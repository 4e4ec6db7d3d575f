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
			r.log.Debug("outbound dial", "session", s.name, "target", target, "error", err)
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

// target is where a flow may go.
func (r *Relay) target(ctx context.Context, s *session, o *frame.Open) (string, error) {
	if o.Target == frame.TargetDNS && o.Protocol != frame.ICMP {
		return r.dns, nil
	}
	to, err := parseTarget(o)
	if err != nil {
		return "", err
	}
	if o.Protocol != frame.ICMP && to.String() == r.dns {
		return r.dns, nil // as TargetDNS, also by TCP
	}
	err = r.reach.Check(ctx, s.subject, to)
	var denied *authz.DeniedError
	switch {
	case errors.As(err, &denied):
		r.log.Info("outbound flow denied", "session", s.name, "reason", err)
		return "", &frame.DeniedError{Reason: denied.Error()}
	case err != nil:
		r.log.Warn("outbound flow cannot be checked", "session", s.name, "error", err)
		return "", err
	}
	return to.String(), nil
}

// parseTarget reads the address; the port of an echo is 0.
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

// refusal is what the session hears of a dial that failed: why, if the far side
// or the way to it is the reason.
func refusal(err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
		return frame.ErrRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTDOWN),
		errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EINVAL):
		return frame.ErrUnreachable // EACCES and EPERM are a filter's, EINVAL that of an address nobody can have
	case errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return frame.ErrTimedOut
	}
	return err
}

// dialOut returns a connection, and the same as a Stream.
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

// serveOutboundLine is the far end of a line itself.
func (r *Relay) serveOutboundLine(s *session, conn *net.TCPConn, hello *handshake.LineHello) {
	defer conn.Close()
	stop := context.AfterFunc(s.ctx, func() { conn.Close() })
	defer stop()
	if err := handshake.WriteLineAssigned(conn, s.keys, hello, &handshake.LineAssigned{Agent: r.ownPin, Pod: r.namespace + "/" + r.pod}); err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, handshakeTimeout)
	f, err := line.Client(ctx, record.NewConn(conn), r.own, s.pin)
	cancel()
	if err != nil {
		r.log.Debug("outbound line", "session", s.name, "error", err)
		return
	}
	line.Serve(s.ctx, f, func(*frame.Open) bool { return true }, r.outbound(s))
}
