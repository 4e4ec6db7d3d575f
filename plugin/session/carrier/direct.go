package carrier

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/rest"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/direct"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
)

// errNotOffered: the chart opens no direct way.
var errNotOffered = errors.New("the cluster offers none: an administrator opens it with the value directAccess.type of the chart")

const (
	// nextAddress is how long one address is dialed before the next one is, too.
	nextAddress = 100 * time.Millisecond
	// tunPrefix begins the names of this product's TUN devices.
	tunPrefix = "intercept"
)

// Direct reaches the traffic-manager without the API server, at the addresses that it has
// published. They are nothing but addresses: both ends prove who they are by the same keys as
// on every other way, so a wrong address costs a connection.
//
// Where the environment has a proxy for an address, there is no direct way: a proxy that
// passes CONNECT on is rarely nearer than the API server. NO_PROXY makes exceptions.
type Direct struct {
	access  Access
	own     *handshake.Identity
	trust   *Trust
	proxy   func(*http.Request) (*url.URL, error)
	sockets *sockets
}

// NewDirect is for carriers and lines of the session with the key pair own.
func NewDirect(access Access, own *handshake.Identity, t *Trust) *Direct {
	return &Direct{access: access, own: own, trust: t, proxy: http.ProxyFromEnvironment, sockets: &sockets{}}
}

// Name is ViaDirect.
func (d *Direct) Name() string { return ViaDirect }

// Drop closes every connection that Dial and DialLine returned.
func (d *Direct) Drop() { d.sockets.drop() }

// Dial implements Transport: it returns a carrier on which both ends have proved who they are.
func (d *Direct) Dial(ctx context.Context) (net.Conn, error) {
	return d.dial(ctx, func(c net.Conn, a handshake.Authority) (net.Conn, error) {
		return handshake.DialCarrier(ctx, c, d.own, a)
	})
}

// DialLine returns a connection on which a line can be offered, a *handshake.Offer.
func (d *Direct) DialLine(ctx context.Context) (net.Conn, error) {
	return d.dial(ctx, func(c net.Conn, a handshake.Authority) (net.Conn, error) {
		return handshake.DialOffer(ctx, c, d.own, a)
	})
}

// IsDirect says whether DialLine has returned a connection.
func IsDirect(c net.Conn) bool {
	_, ok := c.(*handshake.Offer)
	return ok
}

// Offered says whether the traffic-manager has published a direct way.
func (d *Direct) Offered(ctx context.Context) bool {
	_, e, err := d.trust.way(ctx)
	return err == nil && e != nil
}

func (d *Direct) dial(ctx context.Context, shake func(net.Conn, handshake.Authority) (net.Conn, error)) (net.Conn, error) {
	a, e, err := d.trust.way(ctx)
	switch {
	case err != nil:
		return nil, &BetweenError{ViaDirect, err}
	case e == nil:
		return nil, &NotPossibleError{ViaDirect, errNotOffered}
	case len(e.Addresses) == 0:
		return nil, &BetweenError{ViaDirect, errors.New(e.Problem)}
	}
	below, err := d.any(ctx, e.Addresses)
	if err != nil {
		return nil, &BetweenError{ViaDirect, err}
	}
	a.Host = e.ServerName
	conn, err := shake(below, a)
	if err == nil {
		return conn, nil
	}
	below.Close()
	if forged := d.trust.forged(ViaDirect, err); forged != nil {
		return nil, forged
	}
	return nil, &BetweenError{ViaDirect, fmt.Errorf("%s: %w", below.RemoteAddr(), err)}
}

// any returns a connection to the address that answers first.
func (d *Direct) any(ctx context.Context, addresses []string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		conn net.Conn
		err  error
	}
	answers := make(chan answer)
	for i, address := range addresses {
		go func() {
			var a answer
			select {
			case <-time.After(time.Duration(i) * nextAddress):
				a.conn, a.err = d.one(ctx, address)
			case <-ctx.Done():
				a.err = ctx.Err()
			}
			select {
			case answers <- a:
			case <-ctx.Done():
				if a.conn != nil {
					a.conn.Close()
				}
			}
		}()
	}
	var errs []error
	for range addresses {
		a := <-answers
		if a.err == nil {
			return a.conn, nil
		}
		errs = append(errs, a.err)
	}
	return nil, errors.Join(errs...)
}

// one dials one address.
func (d *Direct) one(ctx context.Context, address string) (net.Conn, error) {
	via, err := d.proxy(&http.Request{URL: &url.URL{Scheme: "https", Host: address}})
	if err != nil {
		return nil, fmt.Errorf("find the proxy for %s: %w", address, err)
	}
	if via != nil {
		return nil, fmt.Errorf("%s is behind the proxy %s: name it in NO_PROXY if this machine reaches it itself", address, via.Host)
	}
	local := isLocal(d.access.Config())
	dialer := net.Dialer{Timeout: attemptTimeout, KeepAliveConfig: direct.KeepAlive,
		// Here a name is an address already.
		Control: func(_, to string, _ syscall.RawConn) error { return acceptable(to, local) }}
	c, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	tcp, ok := c.(*net.TCPConn)
	if ok {
		err = direct.Notice(tcp)
	}
	if err == nil && byTUN(c) {
		err = fmt.Errorf("%s is in a network that connect routes into the cluster", address)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	d.sockets.add(c)
	return c, nil
}

// isLocal says whether the API server is at a loopback address: then a node's port may be
// there, too, as in clusters on this machine.
func isLocal(cfg *rest.Config) bool {
	u, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return false
	}
	a, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && a.Unmap().IsLoopback()
}

// acceptable refuses addresses at which no cluster is, and at which programs listen that take
// whoever comes for a friend: this machine, the link, and the metadata services of clouds.
// Local says that this machine has a cluster.
func acceptable(address string, local bool) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address %s: %w", address, err)
	}
	a := to.Addr().Unmap().WithZone("")
	switch {
	case a.IsLoopback() && local:
		return nil
	case a.IsLoopback(), a.IsUnspecified(), a.IsLinkLocalUnicast(), a.IsMulticast(), isMetadata(a):
		return fmt.Errorf("address %s is refused: it is this machine's, of the link, or of a cloud's metadata, and no traffic-manager is there", a)
	}
	return nil
}

// isMetadata says that clouds serve metadata at an address, beside those of the link.
func isMetadata(a netip.Addr) bool {
	for _, m := range []string{"168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"} {
		if a == netip.MustParseAddr(m) {
			return true
		}
	}
	return false
}

// byTUN says whether a connection leaves by this product's TUN: it would carry itself.
func byTUN(c net.Conn) bool {
	own, ok := c.LocalAddr().(*net.TCPAddr)
	if !ok {
		return false
	}
	all, err := net.Interfaces()
	if err != nil {
		return false
	}
	for _, i := range all {
		if !strings.HasPrefix(i.Name, tunPrefix) {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addresses {
			if n, ok := a.(*net.IPNet); ok && n.IP.Equal(own.IP) {
				return true
			}
		}
	}
	return false
}

// network names the network by which this machine would reach the traffic-manager: the
// prefix of its own address there, and the address. It sends nothing.
func (d *Direct) network(ctx context.Context) string {
	_, e, err := d.trust.way(ctx)
	if err != nil || e == nil || len(e.Addresses) == 0 {
		return ""
	}
	host, _, err := net.SplitHostPort(e.Addresses[0])
	if a, perr := netip.ParseAddr(host); err != nil || perr != nil || !a.IsValid() {
		return host // a name: finding out its address could take a while
	}
	c, err := net.Dial("udp", e.Addresses[0])
	if err != nil {
		return "no network to " + host
	}
	defer c.Close()
	own, err := netip.ParseAddrPort(c.LocalAddr().String())
	if err != nil {
		return host
	}
	bits := 64
	if own.Addr().Is4() {
		bits = 24
	}
	return netip.PrefixFrom(own.Addr().WithZone(""), bits).Masked().String() + " to " + host
}
