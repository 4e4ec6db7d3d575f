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
	w := &watcher{Access: a}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		w.observe(ctx)
	}
}

// watcher observes whether the cluster can be reached.
type watcher struct {
	*Access
	reach reach
}

// observe makes one observation, and does what follows from it.
func (w *watcher) observe(ctx context.Context) {
	u := w.current()
	var quiet time.Duration
	ups := 0
	if u != nil {
		quiet, ups = u.pool.Quiet(), u.pool.Ups()
	}
	to := w.view.server.known()
	if len(to) == 0 {
		lctx, cancel := context.WithTimeout(ctx, askTimeout)
		to = w.view.server.lookup(lctx)
		cancel()
	}
	local := w.cfg.Machine.Sources(to)
	if len(to) == 0 {
		local = []netip.Addr{{}} // only silence tells
	}
	do := w.reach.observe(local, has, quiet, ups)
	if do.renew {
		w.cfg.Log.Warn("connections to the cluster are dead; beginning anew", "address", local, "quiet", quiet.Round(time.Second))
		w.cfg.Redial()
		if u := w.current(); u != nil {
			u.pool.Renew()
		}
	}
	if do.moved {
		w.settle()
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
func (w *watcher) settle() {
	w.stateMu.Lock()
	defer w.stateMu.Unlock()
	for _, d := range w.devices {
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
