// Package route gives a TUN its addresses and routes, and refuses those that
// would take from this machine what it needs.
package route

import (
	"net/netip"
	"slices"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

// Entry is a route that this machine has.
type Entry struct {
	Prefix  netip.Prefix
	Gateway netip.Addr // zero if on the link
	Device  string
	Local   bool // an address of this machine itself
}

// byDefault says that the route leads to everywhere. VPNs split theirs into
// halves, and IPv6 has 2000::/3: to take from those is no conflict.
func (e Entry) byDefault() bool {
	return e.Prefix.Bits() <= 1 || e.Prefix.Addr().Is6() && e.Prefix.Bits() <= 3
}

// Judge compares what a session wants with the routes that there are, without
// its own, and the resolvers in use.
func Judge(c *handover.Config, have []Entry, resolvers []netip.AddrPort) []handover.Conflict {
	var found []handover.Conflict
	add := func(r handover.Reason, route, with netip.Prefix, device string) {
		n := handover.Conflict{Reason: r, Route: route, With: with, Device: device}
		if !slices.Contains(found, n) {
			found = append(found, n)
		}
	}
	for _, w := range wanted(c) {
		spare := func(r handover.Reason, a netip.Addr, device string) {
			if a = a.Unmap().WithZone(""); w.Contains(a) {
				add(r, w, one(a), device)
			}
		}
		for _, a := range c.Spare {
			spare(handover.ReasonSpare, a, "")
		}
		for _, r := range resolvers {
			spare(handover.ReasonResolver, r.Addr(), "")
		}
		for _, e := range have {
			switch {
			case e.byDefault():
				if e.Gateway.IsValid() {
					spare(handover.ReasonGateway, e.Gateway, e.Device)
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

// Install says which routes make the session's networks lead into the TUN,
// also where the machine has routes that are as specific or more so, which the
// session may take: two halves win. A single address stays where it was.
func Install(c *handover.Config, have []Entry) []netip.Prefix {
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

// wanted are the networks that would lead into the TUN.
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

// common is what two prefixes that overlap share: the longer one.
func common(a, b netip.Prefix) netip.Prefix {
	if a.Bits() > b.Bits() {
		return a
	}
	return b
}

func one(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// halves is nothing for a single address.
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
