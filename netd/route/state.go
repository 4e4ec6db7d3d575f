package route

import (
	"net/netip"
	"slices"
)

// State is what a device has.
type State struct {
	MTU       int
	Addresses []netip.Prefix
	Routes    []netip.Prefix
}

// Without6 is the state without IPv6, and what that leaves out.
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

// difference returns what has to be added to have, and removed from it.
func difference(have, want []netip.Prefix) (add, remove []netip.Prefix) {
	for _, p := range want {
		if !slices.Contains(have, p) && !slices.Contains(add, p) {
			add = append(add, p)
		}
	}
	remove = slices.DeleteFunc(slices.Clone(have), func(p netip.Prefix) bool { return slices.Contains(want, p) })
	return add, remove
}
