package network

import (
	"net/netip"
	"slices"
)

const (
	// Addresses that belong to no range that is known stand for a block of this
	// many bits: what a node or a subnet gets at least.
	block4, block6 = 24, 64
	// maxRanges bounds how many ranges a machine is told of each kind. More are
	// made fewer by making them wider, but not beyond these bits.
	maxRanges    = 128
	widest4      = 16
	widest6      = 48
	bitsOfFamily = 128
)

// block is what an address stands for.
func block(a netip.Addr) netip.Prefix {
	bits := block6
	if a.Is4() {
		bits = block4
	}
	return netip.PrefixFrom(a, bits).Masked()
}

// contains says whether one of the ranges holds the address.
func contains(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

// compact returns the fewest ranges that hold the same addresses, IPv4 first.
func compact(list []netip.Prefix) []netip.Prefix {
	sorted := make([]netip.Prefix, 0, len(list))
	for _, p := range list {
		sorted = append(sorted, p.Masked())
	}
	slices.SortFunc(sorted, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits() // the wider first
	})
	var out []netip.Prefix
	for _, p := range sorted {
		if n := len(out); n > 0 && out[n-1].Overlaps(p) {
			continue // the wider one holds it
		}
		out = append(out, p)
		for n := len(out); n > 1; n = len(out) {
			whole, ok := join(out[n-2], out[n-1])
			if !ok {
				break
			}
			out = append(out[:n-2], whole)
		}
	}
	return out
}

// join makes one range of two halves.
func join(a, b netip.Prefix) (netip.Prefix, bool) {
	if a.Bits() != b.Bits() || a.Bits() == 0 || a.Addr().Is4() != b.Addr().Is4() {
		return netip.Prefix{}, false
	}
	whole := wider(a)
	return whole, whole == wider(b) && a != b
}

// wider is a range twice as large.
func wider(p netip.Prefix) netip.Prefix { return netip.PrefixFrom(p.Addr(), p.Bits()-1).Masked() }

// ranges is compact, of at most maxRanges where wider ranges can do that.
func ranges(list []netip.Prefix) []netip.Prefix {
	list = compact(list)
	for bits := bitsOfFamily; bits > widest4 && len(list) > maxRanges; bits-- {
		for i, p := range list {
			if p.Bits() == bits && (p.Addr().Is4() || bits > widest6) {
				list[i] = wider(p)
			}
		}
		list = compact(list)
	}
	return list
}

func texts(list []netip.Prefix) []string {
	var out []string
	for _, p := range list {
		out = append(out, p.String())
	}
	return out
}
