// Package dialed connects the flows that a session opens with what they are for: the relay
// does so from its own pod, and an agent from the pod that a laptop stands in for.
package dialed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/datagram"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

const (
	// dialTime bounds connecting.
	dialTime = 10 * time.Second
	// idle ends a flow of datagrams.
	idle = time.Minute
)

// Connect dials the first of the targets that answers, and joins the flow with it. A target
// is "address:port", and of an ICMP flow its port is not used. An error before the flow is
// accepted is one of those that Handler names.
func Connect(ctx context.Context, o *frame.Open, in tunnel.Incoming, targets ...string) error {
	var conn net.Conn
	var stream tunnel.Stream
	var err error
	for _, to := range targets {
		if conn, stream, err = dial(ctx, o.Protocol, to); err == nil {
			break
		}
	}
	if err != nil {
		return refusal(err)
	}
	if err := in.Accept(); err != nil {
		stream.Reset()
		return err
	}
	if len(o.First) > 0 {
		if _, err := conn.Write(o.First); err != nil {
			stream.Reset()
			return fmt.Errorf("write to %s: %w", conn.RemoteAddr(), err)
		}
	}
	return in.Join(stream, nil)
}

// Target parses Open.Target as an address. That of an ICMP flow gets port 0.
func Target(o *frame.Open) (netip.AddrPort, error) {
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
		return fmt.Errorf("%w: %w", frame.ErrRefused, err)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTDOWN),
		errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EINVAL):
		// a packet filter causes EACCES and EPERM, an address that no host can have EINVAL
		return fmt.Errorf("%w: %w", frame.ErrUnreachable, err)
	case errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("%w: %w", frame.ErrTimedOut, err)
	}
	return err
}

// dial returns a connection, and the same connection as a Stream.
func dial(ctx context.Context, p frame.Protocol, target string) (net.Conn, tunnel.Stream, error) {
	d := net.Dialer{Timeout: dialTime}
	switch p {
	case frame.UDP:
		c, err := d.DialContext(ctx, "udp", target)
		if err != nil {
			return nil, nil, err
		}
		return c, datagram.New(c, idle), nil
	case frame.ICMP:
		to, err := netip.ParseAddrPort(target)
		if err != nil {
			return nil, nil, err
		}
		c, err := dialEcho(to.Addr())
		if err != nil {
			return nil, nil, err
		}
		return c, datagram.New(c, idle), nil
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
