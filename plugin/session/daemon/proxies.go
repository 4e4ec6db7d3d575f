package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// proxy is one that is open.
type proxy struct {
	state.Proxy // guarded by network.look, changed under network.mu

	stop context.CancelFunc
	done sync.WaitGroup
}

var errLoopback = errors.New("the proxy listens on addresses of this machine alone, such as 127.0.0.1:1080")

// openProxy begins outbound access by a proxy. One that would do is taken; the
// others stay, but for one at the very address that is asked for. It returns
// when the first outbound carrier is up, or with the reason why there is none.
func (p *process) openProxy(ctx context.Context, want state.Proxy, yields bool) (*socket.Network, error) {
	host, port, err := net.SplitHostPort(want.Address)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("%q: %w", want.Address, errLoopback)
	}
	want.By = state.Wanted(want.By)
	n := &p.network
	ctx, done, err := p.turn(ctx, yields)
	if err != nil {
		return nil, err
	}
	defer done()
	defer n.release()
	var former *proxy
	for _, x := range n.proxies {
		there, _, _ := net.SplitHostPort(x.Address)
		at := x.Address == want.Address
		switch {
		case x.Namespace == want.Namespace && (at || port == "0" && there == host):
			return p.shareProxy(x, want.By), nil
		case at && !slices.Contains(want.By, state.Standing):
			return nil, fmt.Errorf("the proxy at %s has names of namespace %s: choose another address", x.Address, x.Namespace)
		case at:
			former = x
		}
	}
	w, err := p.use(ctx)
	if err != nil {
		return nil, err
	}
	replaced := ""
	if former != nil {
		replaced = "names as in namespace " + former.Namespace
		n.closeProxies(func(c state.Proxy) bool { return c.Address == former.Address })
	}
	l, err := net.Listen("tcp", want.Address)
	if err != nil {
		return nil, fmt.Errorf("open the proxy: %w", err)
	}
	want.Address = l.Addr().String()
	x := &proxy{Proxy: want}
	p.serveAt(l, w, x)
	n.look.Lock()
	n.proxies = append(n.proxies, x)
	n.look.Unlock()
	p.rememberProxy(want)
	s := n.status()
	s.Replaced = replaced
	return s, nil
}

// serveAt serves a proxy's programs until its stop is called.
func (p *process) serveAt(l net.Listener, w *way, x *proxy) {
	ctx, stop := context.WithCancel(w.ctx)
	x.stop = stop
	r := p.resolver(w, x.Namespace)
	server := &outbound.Proxy{Dialer: w.dialer, Resolver: r, Log: p.log, Inside: p.holds, Direct: (&net.Dialer{}).DialContext}
	x.done.Go(func() {
		defer r.Close()
		if err := server.Serve(ctx, l); err != nil {
			p.log.Error("proxy ends", "error", err)
		}
	})
}

// shareProxy has one wanted by more; n.mu is held.
func (p *process) shareProxy(x *proxy, by []string) *socket.Network {
	n := &p.network
	n.look.Lock()
	x.By = state.Join(x.By, by)
	now := x.Proxy
	n.look.Unlock()
	p.rememberProxy(now)
	s := n.status()
	s.Proxy, s.Namespace = now.Address, now.Namespace
	return s
}

// rememberProxy notes one for a successor.
func (p *process) rememberProxy(want state.Proxy) {
	p.remember(func(s *state.State) {
		s.Proxies = append(slices.DeleteFunc(slices.Clone(s.Proxies), func(o state.Proxy) bool { return o.Address == want.Address }), want)
	})
}

// closeProxies ends those; n.mu is held.
func (n *network) closeProxies(which func(state.Proxy) bool) {
	n.look.Lock()
	var over []*proxy
	n.proxies = slices.DeleteFunc(slices.Clone(n.proxies), func(x *proxy) bool {
		end := which(x.Proxy)
		if end {
			over = append(over, x)
		}
		return end
	})
	n.look.Unlock()
	for _, x := range over {
		x.stop()
		x.done.Wait()
	}
}

// release ends what a command wanted, and brings back what that was in place of.
func (p *process) release(ctx context.Context, by string) error {
	n := &p.network
	ctx, done, err := p.turn(ctx, false)
	if err != nil {
		return err
	}
	defer done()
	defer n.release()
	var before, device *state.Device
	var proxies []state.Proxy
	p.remember(func(s *state.State) {
		before = s.Device
		s.Release(by)
		device, proxies = s.Device, s.Proxies
	})
	n.closeProxies(func(x state.Proxy) bool {
		return !slices.ContainsFunc(proxies, func(o state.Proxy) bool { return o.Address == x.Address })
	})
	switch {
	case before == nil:
	case device == nil:
		n.miss(nil)
		return n.closeDevice(n.main)
	case device.Replaces(before):
		if err := p.haveDevice(ctx, *device); err != nil {
			n.miss(err)
			go p.regain(p.running)
			return fmt.Errorf("bring the former network back (%s): %w", device, err)
		}
	}
	return nil
}

// holds says whether an address is the cluster's, by what is known now.
func (p *process) holds(a netip.Addr) bool {
	n, _ := p.cluster.get()
	return n.holds(a)
}

func (p *process) resolver(w *way, namespace string) *outbound.Resolver {
	return &outbound.Resolver{Dialer: w.dialer, Domain: p.pool.State().Domain, Namespace: namespace}
}
