package proxyserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound"
)

// dial connects to host, a name or an address.
func (s *Server) dial(ctx context.Context, proto frame.Protocol, host string, port uint16) (outbound.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	at, err := s.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	if len(at.addrs) == 0 {
		return s.Direct.Open(ctx, proto, net.JoinHostPort(at.host, strconv.Itoa(int(port))))
	}
	var failed error
	for _, a := range at.addrs {
		target := netip.AddrPortFrom(a, port).String()
		var c outbound.Conn
		if s.inside(a) {
			c, err = s.Dialer.Open(ctx, proto, target, nil)
		} else {
			c, err = s.Dialer.OpenExternal(ctx, proto, target, s.Direct)
		}
		if err == nil {
			return c, nil
		}
		failed = fmt.Errorf("dial %s (%s): %w", host, target, err)
		if errors.Is(err, frame.ErrDenied) {
			s.Log.Warn("not allowed", "host", host, "target", target, "reason", err)
		}
	}
	return nil, failed
}

// inside says whether an address is the cluster's.
func (s *Server) inside(a netip.Addr) bool { return s.Inside == nil || s.Inside(a) }
