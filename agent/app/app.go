// Package app reaches the application in whose pod the agent runs, past the
// agent's own redirect.
package app

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/capture"
)

// dialTimeout bounds the wait for an application whose backlog is full.
const dialTimeout = 10 * time.Second

// DialTCP connects to the application at the address that its caller dialed: the
// application may listen at that one alone.
func DialTCP(ctx context.Context, to netip.AddrPort) (*net.TCPConn, error) {
	return dialTCP(ctx, to, net.Dialer{Timeout: dialTimeout, Control: capture.Control(capture.MarkBypass)})
}

// DialTCPPlain is DialTCP for an agent without privilege. If there is a redirect, it
// exempts the agent by its user.
func DialTCPPlain(ctx context.Context, to netip.AddrPort) (*net.TCPConn, error) {
	return dialTCP(ctx, to, net.Dialer{Timeout: dialTimeout})
}

func dialTCP(ctx context.Context, to netip.AddrPort, d net.Dialer) (*net.TCPConn, error) {
	c, err := d.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, fmt.Errorf("dial application: %w", err)
	}
	return c.(*net.TCPConn), nil
}

// DialUDP makes a socket connected to the application at port, at the pod's
// address of the caller's family or, without one, at the loopback address.
func DialUDP(ctx context.Context, pod []netip.Addr, caller netip.Addr, port uint16) (*net.UDPConn, error) {
	return dialUDP(ctx, pod, caller, port, net.Dialer{Control: capture.Control(capture.MarkBypass)})
}

// DialUDPPlain is DialUDP for an agent without privilege.
func DialUDPPlain(ctx context.Context, pod []netip.Addr, caller netip.Addr, port uint16) (*net.UDPConn, error) {
	return dialUDP(ctx, pod, caller, port, net.Dialer{})
}

func dialUDP(ctx context.Context, pod []netip.Addr, caller netip.Addr, port uint16, d net.Dialer) (*net.UDPConn, error) {
	to := loopback(caller)
	for _, a := range pod {
		if a.Is4() == caller.Is4() {
			to = a
			break
		}
	}
	c, err := d.DialContext(ctx, "udp", netip.AddrPortFrom(to, port).String())
	if err != nil {
		return nil, fmt.Errorf("dial application: %w", err)
	}
	return c.(*net.UDPConn), nil
}

func loopback(like netip.Addr) netip.Addr {
	if like.Is4() {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.IPv6Loopback()
}
