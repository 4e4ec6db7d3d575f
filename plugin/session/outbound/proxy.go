package outbound

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/mux"
)

const (
	// greetTimeout bounds what a program may take to say where it wants to go.
	greetTimeout = 30 * time.Second
	dialTimeout  = 15 * time.Second
	// directIdle ends a flow of datagrams that is not the cluster's.
	directIdle   = time.Minute
	socksVersion = 5
)

// Proxy is SOCKS5 (RFC 1928) and HTTP CONNECT (RFC 9110, section 9.3.6) on one
// port. Names of the cluster and its addresses are reached through the
// session; all else directly from this machine, as without a proxy.
type Proxy struct {
	Dialer   *Dialer
	Resolver *Resolver
	Log      *slog.Logger
	// Inside says which addresses are the cluster's; nil: all that a program names.
	Inside func(netip.Addr) bool
	// Direct dials what is not in the cluster.
	Direct Direct
}

// Serve serves l until ctx ends, and ends what is left then.
func (p *Proxy) Serve(ctx context.Context, l net.Listener) error {
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
		wg.Go(func() { p.serve(ctx, c) })
	}
}

// serve finds out what a program speaks.
func (p *Proxy) serve(ctx context.Context, conn net.Conn) {
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
		err = p.socks(ctx, c, r)
	} else {
		err = p.http(ctx, c, r)
	}
	if err != nil && ctx.Err() == nil {
		p.Log.Debug("proxy", "client", c.RemoteAddr().String(), "error", err)
	}
}

// dial connects to host, a name or an address.
func (p *Proxy) dial(ctx context.Context, proto frame.Protocol, host string, port uint16) (Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var addrs []netip.Addr
	var err error
	if a, aerr := netip.ParseAddr(host); aerr == nil {
		if p.Inside != nil && !p.Inside(a.Unmap()) {
			return p.direct(ctx, proto, host, port)
		}
		addrs = append(addrs, a)
	} else if addrs, err = p.Resolver.Lookup(ctx, host); errors.Is(err, ErrNoName) || unasked(err) && p.Resolver.foreign(host) {
		return p.direct(ctx, proto, host, port)
	} else if err != nil {
		return nil, err
	}
	var failed error
	for _, a := range addrs {
		target := netip.AddrPortFrom(a, port).String()
		var c Conn
		if p.Inside != nil && !p.Inside(a.Unmap()) {
			c, err = p.Dialer.OpenOutside(ctx, proto, target, p.Direct)
		} else {
			c, err = p.Dialer.Open(ctx, proto, target, nil)
		}
		if err == nil {
			return c, nil
		}
		failed = fmt.Errorf("dial %s (%s): %w", host, target, err)
		if errors.Is(err, frame.ErrDenied) {
			p.Log.Warn("not allowed", "host", host, "target", target, "reason", err)
		}
	}
	return nil, failed
}

// unasked says that nobody in the cluster could be asked.
func unasked(err error) bool { return errors.Is(err, ErrAway) || errors.Is(err, mux.ErrNoCarrier) }

func (p *Proxy) direct(ctx context.Context, proto frame.Protocol, host string, port uint16) (Conn, error) {
	return p.Direct.open(ctx, proto, net.JoinHostPort(host, strconv.Itoa(int(port))))
}

// datagrams end with the program's side: nobody would get the answers.
type datagrams struct{ tunnel.Stream }

// CloseWrite ends both directions.
func (d datagrams) CloseWrite() error { return d.Close() }

// join connects a program with what it asked for. What the reader holds already
// comes first.
func join(c *net.TCPConn, r *bufio.Reader, to Conn) error {
	c.SetDeadline(time.Time{})
	return to.Join(&buffered{tunnel.NewTCP(c), r}, nil)
}

// buffered is a Stream of which a reader holds the first bytes.
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
