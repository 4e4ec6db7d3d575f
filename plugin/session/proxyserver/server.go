// Package proxyserver is the proxy on localhost that leads programs into the
// cluster: SOCKS5 (RFC 1928) and HTTP (RFC 9110, sections 7.6 and 9.3.6) on one
// port.
package proxyserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound"
)

const (
	// greetTimeout bounds the time that a program takes to name its target.
	greetTimeout = 30 * time.Second
	dialTimeout  = 15 * time.Second
	socksVersion = 5
)

// Server serves programs. It reaches names and addresses of the cluster through
// the session, and everything else directly from this machine, as without a proxy.
type Server struct {
	Dialer *outbound.Dialer
	// Names says which names are the cluster's. It is asked for each connection.
	Names func(context.Context) names.Config
	// DNS asks the cluster's name server.
	DNS Exchanger
	Log *slog.Logger
	// Inside says which addresses are the cluster's; nil: all that a program names.
	Inside func(netip.Addr) bool
	// Direct dials what is not in the cluster.
	Direct outbound.Direct

	// known are the namespaces in which the cluster knew a name: a set of strings.
	known sync.Map
}

// Serve serves l until ctx ends, and ends what is left then.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("proxy: %w", err)
		}
		wg.Go(func() { s.serve(ctx, c) })
	}
}

// serve finds out which protocol a program speaks, and serves it.
func (s *Server) serve(ctx context.Context, conn net.Conn) {
	c, ok := conn.(*net.TCPConn)
	if !ok {
		conn.Close()
		return
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	c.SetDeadline(time.Now().Add(greetTimeout))
	r := bufio.NewReader(c)
	first, err := r.Peek(1)
	if err != nil {
		return
	}
	if first[0] == socksVersion {
		err = s.socks(ctx, c, r)
	} else {
		err = s.http(ctx, c, r)
	}
	if err != nil && ctx.Err() == nil {
		s.Log.Debug("proxy", "client", c.RemoteAddr().String(), "error", err)
	}
}

// join connects a program with its target. The bytes that the reader holds already
// come first.
func join(c *net.TCPConn, r *bufio.Reader, to outbound.Conn) error {
	c.SetDeadline(time.Time{})
	return to.Join(&buffered{tunnel.NewTCP(c), r}, nil)
}

// buffered is a Stream whose first bytes a reader holds.
type buffered struct {
	tunnel.Stream
	r *bufio.Reader
}

// Read implements io.Reader.
func (b *buffered) Read(p []byte) (int, error) {
	if b.r != nil {
		if n := b.r.Buffered(); n > 0 {
			return b.r.Read(p[:min(n, len(p))])
		}
		b.r = nil
	}
	return b.Stream.Read(p)
}
