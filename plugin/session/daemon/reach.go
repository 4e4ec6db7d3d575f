package daemon

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"
)

const (
	// glance is how often the way to the API server is looked at; no packet is
	// sent for that.
	glance = time.Second
	// hush is how quiet outbound carriers may be before they are asked for a sign
	// of life, and askTimeout how long that is waited for.
	hush       = 2 * time.Second
	askTimeout = 5 * time.Second
	// After so many glances with a question and no answer the cluster is out of
	// reach, or the connections are given up; or, where this machine had no
	// network until just now, after the few of backAfter: a kernel may wait for
	// much longer before it sends again.
	awayAfter, deadAfter, backAfter = 4, 13, 2
)

// reach judges whether the cluster can be reached, glance by glance.
type reach struct {
	// local are this machine's addresses on the way to the API server, which
	// connections may have.
	local   []netip.Addr
	gone    bool // there were none at the last glance
	asked   int  // glances without an answer
	back    int  // glances since there are addresses again, while it is quiet
	renewed bool // since something was heard
	ups     int  // outbound carriers that had come up when something was last heard
}

// verdict is what is to be done.
type verdict struct {
	// away: programs that dial the cluster shall hear at once that it cannot be
	// reached. renew: all connections are dead. moved: this machine's network may
	// be another one.
	away, renew, moved bool
}

// look judges by this machine's addresses on the way to the API server, none if
// there is no way, the zero Addr if that is not known; by whether it still has
// those it had, as one more answer of DNS is no change; and by how long outbound
// carriers are quiet, of which so many have come up so far.
func (r *reach) look(now []netip.Addr, has func(netip.Addr) bool, quiet time.Duration, ups int) verdict {
	if len(now) == 0 {
		r.gone = true
		return verdict{away: true}
	}
	lost := slices.ContainsFunc(r.local, func(a netip.Addr) bool { return a.IsValid() && !slices.Contains(now, a) && !has(a) })
	if lost { // connections of that address are dead
		*r = reach{local: now, renewed: true, ups: ups}
		return verdict{renew: true, moved: true}
	}
	returned := r.gone && len(r.local) > 0
	local := slices.Concat(r.local, now)
	slices.SortFunc(local, netip.Addr.Compare)
	local = slices.Compact(local)
	moved := returned || len(r.local) > 0 && len(local) > len(r.local)
	r.local, r.gone = local, false
	if quiet <= hush {
		// Where new carriers are what is heard after a long silence, since the
		// traffic-manager had given up the old ones, the other connections are as dead.
		renew := !r.renewed && r.asked > awayAfter && ups > r.ups
		*r = reach{local: local, ups: ups}
		return verdict{moved: moved, renew: renew}
	}
	r.asked++
	if returned || r.back > 0 {
		r.back++
	}
	if !r.renewed && (r.asked > deadAfter || r.back > backAfter) {
		r.renewed, r.back = true, 0
		return verdict{renew: true, away: r.asked > awayAfter, moved: moved}
	}
	return verdict{away: r.asked > awayAfter || r.back > 0, moved: moved}
}

// watchReach keeps what programs hear of the cluster true until ctx ends: new
// connections fail at once while it is out of reach, and dead ones are replaced.
func (p *process) watchReach(ctx context.Context) {
	ticker := time.NewTicker(glance)
	defer ticker.Stop()
	var r reach
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		w := p.network.current()
		var quiet time.Duration
		ups := 0
		if w != nil {
			quiet, ups = w.pool.Quiet(), w.pool.Ups()
		}
		to := p.known()
		if len(to) == 0 {
			lctx, cancel := context.WithTimeout(ctx, askTimeout)
			to = p.spare(lctx)
			cancel()
		}
		local := p.sources(to)
		if len(to) == 0 {
			local = []netip.Addr{{}} // only silence tells
		}
		v := r.look(local, has, quiet, ups)
		if v.renew {
			p.log.Warn("connections to the cluster are dead; beginning anew", "address", local, "quiet", quiet.Round(time.Second))
			p.renew()
		}
		if v.moved {
			p.network.moved()
		}
		if w == nil {
			continue
		}
		w.gate.Set(!v.away)
		if quiet > hush {
			go w.ask()
		}
	}
}

// renew drops every connection to the cluster and begins anew.
func (p *process) renew() {
	p.pool.Renew()
	if w := p.network.current(); w != nil {
		w.pool.Renew()
	}
	if p.lines != nil {
		p.lines.Renew()
		p.dropLines()
	}
}

// sources are this machine's addresses from which packets to others would go.
func sources(to []netip.Addr) []netip.Addr {
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

// has says that an address is on an interface of this machine, as far as that
// can be said.
func has(a netip.Addr) bool {
	all, err := net.InterfaceAddrs()
	return err != nil || slices.ContainsFunc(all, func(on net.Addr) bool {
		p, err := netip.ParsePrefix(on.String())
		return err == nil && p.Addr().Unmap().WithZone("") == a
	})
}

// ask has a sign of life given, which the pool hears.
func (w *way) ask() {
	if w.asking.CompareAndSwap(false, true) {
		defer w.asking.Store(false)
		w.group.Ping(askTimeout)
	}
}
