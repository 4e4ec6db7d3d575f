package authz

import (
	"net/netip"
	"slices"
)

// isMetadata says that a cloud answers at the address, beside those of the link: its metadata
// service gives every caller on a node the node's credentials. An address by which NAT64
// (RFC 6052, RFC 8215) leads to such a one, or to the link's, counts as well.
func isMetadata(a netip.Addr) bool {
	if four, ok := translated(a); ok {
		a = four
		if a.IsLinkLocalUnicast() || a.IsLoopback() || a.IsUnspecified() {
			return true
		}
	}
	return slices.Contains([]netip.Addr{
		netip.AddrFrom4([4]byte{168, 63, 129, 16}),                             // Azure
		netip.AddrFrom4([4]byte{100, 100, 100, 200}),                           // Alibaba Cloud
		netip.AddrFrom4([4]byte{192, 0, 0, 192}),                               // Oracle Cloud
		netip.AddrFrom16([16]byte{0: 0xfd, 2: 0x0e, 3: 0xc2, 14: 2, 15: 0x54}), // AWS, fd00:ec2::254
		netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x20, 3: 0xce, 14: 2, 15: 0x54}), // Google Cloud, fd20:ce::254
	}, a)
}

// translated is the IPv4 address in one of NAT64's usual prefix 64:ff9b::/96, or in the last 32
// bits of one of its local prefix 64:ff9b:1::/48.
func translated(a netip.Addr) (netip.Addr, bool) {
	b := a.As16()
	usual := netip.PrefixFrom(netip.AddrFrom16([16]byte{1: 0x64, 2: 0xff, 3: 0x9b}), 96)
	local := netip.PrefixFrom(netip.AddrFrom16([16]byte{1: 0x64, 2: 0xff, 3: 0x9b, 5: 1}), 48)
	if !usual.Contains(a) && !local.Contains(a) {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(b[12:])), true
}
