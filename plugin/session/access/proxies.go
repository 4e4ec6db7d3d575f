package access

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/clusterdns"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/proxyserver"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// proxy is a proxy that is open.
type proxy struct {
	state.Proxy // written by a change, under stateMu

	stop context.CancelFunc
	done sync.WaitGroup
}

var errLoopback = errors.New("the proxy listens on addresses of this machine alone, such as 127.0.0.1:1080")

// OpenProxy begins access by a proxy. A proxy that is open and does the same is shared.
// A proxy at the very address that is asked for is replaced, and all others stay. OpenProxy
// returns when the upstream is open, or with the reason why it is not.
func (a *Access) OpenProxy(ctx context.Context, want state.Proxy) (*socket.Network, error) {
	host, _, err := net.SplitHostPort(want.Address)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("%q: %w", want.Address, errLoopback)
	}
	want.Holders = state.HoldersOrStanding(want.Holders)
	c := a.begin(ctx, false)
	defer c.end()
	return c.openProxy(want)
}

// openProxy shares a proxy, or opens one.
func (c *change) openProxy(want state.Proxy) (*socket.Network, error) {
	defer c.closeUnused()
	host, port, _ := net.SplitHostPort(want.Address)
	var former *proxy
	for _, x := range c.proxies {
		there, _, _ := net.SplitHostPort(x.Address)
		at := x.Address == want.Address
		switch {
		case x.Namespace == want.Namespace && x.Via == want.Via && (at || port == "0" && there == host):
			return c.shareProxy(x, want.Holders), nil
		case at && !slices.Contains(want.Holders, state.Standing):
			return nil, fmt.Errorf("the proxy at %s has %s: choose another address", x.Address, x.Proxy)
		case at:
			former = x
		}
	}
	return c.newProxy(want, former)
}

// newProxy opens a proxy in place of a former one, which may be nil.
func (c *change) newProxy(want state.Proxy, former *proxy) (*socket.Network, error) {
	if want.Via != "" {
		ctx, cancel := context.WithTimeout(c.ctx, startTimeout)
		defer cancel()
		if _, err := c.cfg.Via(want.Via).Names(ctx); err != nil {
			return nil, err // it is of no use without its pod
		}
	}
	u, err := c.open(c.ctx)
	if err != nil {
		return nil, err
	}
	replaced := ""
	if former != nil {
		replaced = former.Proxy.String()
		c.closeProxies(func(x state.Proxy) bool { return x.Address == former.Address })
	}
	l, err := net.Listen("tcp", want.Address)
	if err != nil {
		return nil, fmt.Errorf("open the proxy: %w", err)
	}
	want.Address = l.Addr().String()
	x := &proxy{Proxy: want}
	c.serveProxy(l, u, x)
	c.stateMu.Lock()
	c.proxies = append(c.proxies, x)
	c.stateMu.Unlock()
	c.rememberProxy(want)
	s := c.Status()
	s.Replaced = replaced
	return s, nil
}

// serveProxy serves a proxy until its stop is called.
func (c *change) serveProxy(l net.Listener, u *upstream, x *proxy) {
	ctx, stop := context.WithCancel(u.ctx)
	x.stop = stop
	dialer := u.from(x.Via, c.cfg.Via)
	namespace, via, client := x.Namespace, x.Via, &clusterdns.Client{Dialer: dialer}
	namesNow := func(ctx context.Context) names.Config { return c.view.namesSoon(ctx, namespace, via) }
	inCluster := func(to netip.Addr) bool { return c.view.Feed.Last().Holds(to) }
	if via != "" { // all but this machine and the API server is reached from the pod
		inCluster = func(to netip.Addr) bool { return !to.IsLoopback() && !slices.Contains(c.view.server.known(), to) }
	}
	server := &proxyserver.Server{Dialer: dialer, DNS: client, Names: namesNow, Log: c.cfg.Log, Inside: inCluster, Direct: (&net.Dialer{}).DialContext}
	x.done.Go(func() {
		defer client.Close()
		if err := server.Serve(ctx, l); err != nil {
			c.cfg.Log.Error("proxy ends", "error", err)
		}
	})
}

// shareProxy notes that more commands want a proxy.
func (c *change) shareProxy(x *proxy, by []string) *socket.Network {
	c.stateMu.Lock()
	x.Holders = state.AddHolders(x.Holders, by)
	now := x.Proxy
	c.stateMu.Unlock()
	c.rememberProxy(now)
	s := c.Status()
	s.Proxy, s.Namespace = now.Address, now.Namespace
	return s
}

// rememberProxy records a proxy for a successor.
func (c *change) rememberProxy(want state.Proxy) {
	c.cfg.Record.Change(func(s *state.State) {
		s.Proxies = append(slices.DeleteFunc(slices.Clone(s.Proxies), func(o state.Proxy) bool { return o.Address == want.Address }), want)
	})
}

// closeProxies closes the proxies of which ends is true.
func (c *change) closeProxies(ends func(state.Proxy) bool) {
	var ended []*proxy
	c.stateMu.Lock()
	c.proxies = slices.DeleteFunc(slices.Clone(c.proxies), func(x *proxy) bool {
		end := ends(x.Proxy)
		if end {
			ended = append(ended, x)
		}
		return end
	})
	c.stateMu.Unlock()
	for _, x := range ended {
		x.stop()
		x.done.Wait()
	}
}

// hasProxy says whether a proxy at an address is in a list.
func hasProxy(list []state.Proxy, address string) bool {
	return slices.ContainsFunc(list, func(x state.Proxy) bool { return x.Address == address })
}
