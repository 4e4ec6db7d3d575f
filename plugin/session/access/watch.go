package access

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"
)

// WatchReach observes whether the cluster can be reached until ctx ends. While it is out
// of reach, new connections fail at once; dead connections are replaced.
func (a *Access) WatchReach(ctx context.Context) {
	ticker := time.NewTicker(a.cfg.Times.Glance)
	defer ticker.Stop()
	var r reach
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		a.observe(ctx, &r)
	}
}

// observe makes one observation, and does what follows from it.
func (a *Access) observe(ctx context.Context, r *reach) {
	u := a.current()
	var quiet time.Duration
	ups := 0
	if u != nil {
		quiet, ups = u.pool.Quiet(), u.pool.Ups()
	}
	to := a.view.server.known()
	if len(to) == 0 {
		lctx, cancel := context.WithTimeout(ctx, askTimeout)
		to = a.view.server.lookup(lctx)
		cancel()
	}
	local := a.cfg.Machine.Sources(to)
	if len(to) == 0 {
		local = []netip.Addr{{}} // only silence tells
	}
	do := r.observe(local, has, quiet, ups)
	if do.renew {
		a.cfg.Log.Warn("connections to the cluster are dead; beginning anew", "address", local, "quiet", quiet.Round(time.Second))
		a.cfg.Redial()
		if u := a.current(); u != nil {
			u.pool.Renew()
		}
	}
	if do.moved {
		a.settle()
	}
	if u == nil {
		return
	}
	u.gate.Set(!do.away)
	if quiet > quietAfter {
		go u.ask()
	}
}

// settle has intercept-netd asked again for everything that depends on this machine's
// network: which routes are free, and which resolvers there are.
func (a *Access) settle() {
	a.stateMu.Lock()
	defer a.stateMu.Unlock()
	for _, d := range a.devices {
		d.again.Store(settling)
	}
}

// Offline says that this machine has no route to the API server.
func (a *Access) Offline() bool {
	to := a.view.server.known()
	return len(to) > 0 && len(a.cfg.Machine.Sources(to)) == 0
}

// Sources are this machine's addresses from which packets to others would go.
func Sources(to []netip.Addr) []netip.Addr {
	var from []netip.Addr
	for _, a := range to {
		c, err := net.Dial("udp", netip.AddrPortFrom(a, 443).String()) // sends nothing
		if err != nil {
			continue // no route
		}
		if l, ok := c.LocalAddr().(*net.UDPAddr); ok {
			from = append(from, l.AddrPort().Addr().Unmap().WithZone(""))
		}
		c.Close()
	}
	slices.SortFunc(from, netip.Addr.Compare)
	return slices.Compact(from)
}

// has says that an address is on an interface of this machine, or that this is not known.
func has(a netip.Addr) bool {
	all, err := net.InterfaceAddrs()
	return err != nil || slices.ContainsFunc(all, func(on net.Addr) bool {
		p, err := netip.ParsePrefix(on.String())
		return err == nil && p.Addr().Unmap().WithZone("") == a
	})
}
