package route

import (
	"net/netip"
	"slices"
)

// State is the configuration of a device.
type State struct {
	MTU       int
	Addresses []netip.Prefix
	Routes    []netip.Prefix
}

// Without6 returns the state without IPv6, and the prefixes that it leaves out.
func (s State) Without6() (four State, out []netip.Prefix) {
	keep := func(all []netip.Prefix) []netip.Prefix {
		return slices.DeleteFunc(slices.Clone(all), func(p netip.Prefix) bool {
			if p.Addr().Is6() {
				out = append(out, p)
			}
			return p.Addr().Is6()
		})
	}
	return State{s.MTU, keep(s.Addresses), keep(s.Routes)}, out
}

// difference returns the prefixes to add to have, and those to remove from it, to get
// want.
func difference(have, want []netip.Prefix) (add, remove []netip.Prefix) {
	for _, p := range want {
		if !slices.Contains(have, p) && !slices.Contains(add, p) {
			add = append(add, p)
		}
	}
	remove = slices.DeleteFunc(slices.Clone(have), func(p netip.Prefix) bool { return slices.Contains(want, p) })
	return add, remove
}
