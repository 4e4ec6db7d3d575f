package names

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// addressOf reads a whole address from its name below in-addr.arpa or ip6.arpa,
// in lower case and without the last dot.
func addressOf(name string) (netip.Addr, bool) {
	if v4, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		labels := strings.Split(v4, ".")
		var b [4]byte
		if len(labels) != len(b) {
			return netip.Addr{}, false
		}
		for i, l := range labels {
			octet, err := strconv.ParseUint(l, 10, 8)
			if err != nil {
				return netip.Addr{}, false
			}
			b[len(b)-1-i] = byte(octet)
		}
		return netip.AddrFrom4(b), true
	}
	v6, ok := strings.CutSuffix(name, ".ip6.arpa")
	if !ok || len(v6) != 63 {
		return netip.Addr{}, false
	}
	var b [16]byte
	for i := range 32 {
		nibble, err := strconv.ParseUint(v6[2*i:2*i+1], 16, 4)
		if err != nil || i < 31 && v6[2*i+1] != '.' {
			return netip.Addr{}, false
		}
		b[15-i/2] |= byte(nibble) << (4 * (i % 2))
	}
	return netip.AddrFrom16(b), true
}

// reverseZones are the names of a prefix: one or, where it does not end with a
// label, those of its parts.
func reverseZones(p netip.Prefix) []string {
	p = p.Masked()
	step, zone := 8, "in-addr.arpa"
	if p.Addr().Is6() {
		step, zone = 4, "ip6.arpa"
	}
	labels := (p.Bits() + step - 1) / step
	if labels == 0 {
		return []string{zone}
	}
	b := p.Addr().AsSlice()
	at := func(i int) int { // the label with number i, from the left of the address
		if step == 8 {
			return int(b[i])
		}
		return int(b[i/2]>>(4*(1-i%2))) & 15
	}
	tail := zone
	for i := range labels - 1 {
		tail = number(at(i), step) + "." + tail
	}
	first := at(labels - 1)
	var zones []string
	for i := range 1 << (labels*step - p.Bits()) {
		zones = append(zones, number(first+i, step)+"."+tail)
	}
	return zones
}

func number(n, step int) string {
	if step == 4 {
		return fmt.Sprintf("%x", n)
	}
	return strconv.Itoa(n)
}
