// Package route sets the addresses and routes of a TUN. It finds routes that would
// cut this machine off from networks that it needs.
package route

import (
	"net/netip"
	"slices"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

// Entry is a route in this machine's routing table.
type Entry struct {
	Prefix  netip.Prefix
	Gateway netip.Addr // zero if the route has no gateway
	Device  string
	Local   bool // Prefix is an address of this machine
}

// byDefault reports whether the route is a default route. VPNs split the default route
// into two halves, and some networks have 2000::/3 for IPv6. A session's route may be a
// part of a default route, which is no conflict.
func (e Entry) byDefault() bool {
	return e.Prefix.Bits() <= 1 || e.Prefix.Addr().Is6() && e.Prefix.Bits() <= 3
}

// Conflicts returns the conflicts between the session's configuration and this machine. It
// compares the session's routes and addresses with the machine's routes, which must not
// include the session's own, and with the addresses of the resolvers in use.
func Conflicts(c *handover.Config, have []Entry, resolvers []netip.AddrPort) []handover.Conflict {
	var found []handover.Conflict
	add := func(r handover.Reason, route, with netip.Prefix, device string) {
		n := handover.Conflict{Reason: r, Route: route, With: with, Device: device}
		if !slices.Contains(found, n) {
			found = append(found, n)
		}
	}
	for _, w := range wanted(c) {
		keep := func(r handover.Reason, a netip.Addr, device string) {
			if a = a.Unmap().WithZone(""); w.Contains(a) {
				add(r, w, one(a), device)
			}
		}
		for _, a := range c.KeepReachable {
			keep(handover.ReasonAPIServer, a, "")
		}
		for _, r := range resolvers {
			keep(handover.ReasonResolver, r.Addr(), "")
		}
		for _, e := range have {
			switch {
			case e.byDefault():
				if e.Gateway.IsValid() {
					keep(handover.ReasonGateway, e.Gateway, e.Device)
				}
			case !e.Local && w.Overlaps(e.Prefix) && !allowed(c, common(w, e.Prefix)):
				add(handover.ReasonOverlap, w, common(w, e.Prefix), e.Device)
			}
		}
	}
	for _, p := range c.Addresses {
		for _, e := range have {
			if e.Local && e.Prefix.Contains(p.Addr()) {
				add(handover.ReasonOverlap, one(p.Addr()), one(p.Addr()), e.Device)
			}
		}
	}
	return found
}

// RoutesToAdd returns the routes to add, so that packets to the session's networks go into
// the TUN. Where this machine has a route that is as specific or more specific, and the
// configuration allows the conflict, RoutesToAdd returns the two halves of that route, which
// are more specific. A route to a single address has no halves, so it stays in force.
func RoutesToAdd(c *handover.Config, have []Entry) []netip.Prefix {
	var all []netip.Prefix
	for _, w := range c.Routes {
		equal := false
		for _, e := range have {
			if e.Local || e.byDefault() || !w.Overlaps(e.Prefix) || e.Prefix.Bits() < w.Bits() || !allowed(c, e.Prefix) {
				continue
			}
			equal = equal || e.Prefix == w
			all = append(all, halves(e.Prefix)...)
		}
		if !equal {
			all = append(all, w)
		}
	}
	return unique(all)
}

// wanted returns the networks whose packets would go into the TUN.
func wanted(c *handover.Config) []netip.Prefix {
	all := slices.Clone(c.Routes)
	for _, p := range c.Addresses {
		if !p.IsSingleIP() {
			all = append(all, p.Masked())
		}
	}
	return unique(all)
}

func allowed(c *handover.Config, p netip.Prefix) bool {
	return slices.ContainsFunc(c.AllowConflicting, func(a netip.Prefix) bool {
		return a.Bits() <= p.Bits() && a.Contains(p.Addr())
	})
}

// common returns the intersection of two overlapping prefixes, which is the longer one.
func common(a, b netip.Prefix) netip.Prefix {
	if a.Bits() > b.Bits() {
		return a
	}
	return b
}

func one(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// halves returns the two halves of a prefix, and nil for a single address.
func halves(p netip.Prefix) []netip.Prefix {
	if p.IsSingleIP() {
		return nil
	}
	n := p.Bits()
	upper := p.Addr().AsSlice()
	upper[n/8] |= 0x80 >> (n % 8)
	a, _ := netip.AddrFromSlice(upper)
	return []netip.Prefix{netip.PrefixFrom(p.Addr(), n+1), netip.PrefixFrom(a, n+1)}
}

func unique(p []netip.Prefix) []netip.Prefix {
	slices.SortFunc(p, func(a, b netip.Prefix) int {
		if n := a.Addr().Compare(b.Addr()); n != 0 {
			return n
		}
		return a.Bits() - b.Bits()
	})
	return slices.Compact(p)
}
