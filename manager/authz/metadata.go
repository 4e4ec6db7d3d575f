package authz

import (
	"net/netip"
	"slices"
)

// metadata are the addresses, beside those of the link, at which clouds answer a node: their
// metadata services give every caller on it the node's credentials.
func metadata() []netip.Addr {
	return []netip.Addr{
		netip.AddrFrom4([4]byte{168, 63, 129, 16}),                             // Azure
		netip.AddrFrom4([4]byte{100, 100, 100, 200}),                           // Alibaba Cloud
		netip.AddrFrom4([4]byte{192, 0, 0, 192}),                               // Oracle Cloud
		netip.AddrFrom16([16]byte{0: 0xfd, 2: 0x0e, 3: 0xc2, 14: 2, 15: 0x54}), // AWS, fd00:ec2::254
		netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x20, 3: 0xce, 14: 2, 15: 0x54}), // Google Cloud, fd20:ce::254
	}
}

// isMetadata says that the address is one of metadata, or that NAT64 leads by it to one, to
// the link or to a machine itself.
func isMetadata(a netip.Addr) bool {
	return slices.Contains(metadata(), a) || slices.ContainsFunc(translated(a), func(four netip.Addr) bool {
		return slices.Contains(metadata(), four) || four.IsLinkLocalUnicast() || four.IsLoopback() || four.IsUnspecified()
	})
}

// translated are the IPv4 addresses to which NAT64 may lead by an address: in its usual prefix
// 64:ff9b::/96 there is one (RFC 6052). A network takes a prefix of its own choice from
// 64:ff9b:1::/48 (RFC 8215), whose length decides where the four bytes stand.
func translated(a netip.Addr) []netip.Addr {
	b := a.As16()
	last := netip.AddrFrom4([4]byte(b[12:]))
	usual := netip.PrefixFrom(netip.AddrFrom16([16]byte{1: 0x64, 2: 0xff, 3: 0x9b}), 96)
	local := netip.PrefixFrom(netip.AddrFrom16([16]byte{1: 0x64, 2: 0xff, 3: 0x9b, 5: 1}), 48)
	switch {
	case usual.Contains(a):
		return []netip.Addr{last}
	case !local.Contains(a):
		return nil
	}
	rest := slices.Concat(b[6:8], b[9:]) // without byte 8, which is always zero
	all := []netip.Addr{last}
	for from := range 3 { // of /48, /56 and /64
		if four := netip.AddrFrom4([4]byte(rest[from:])); !four.IsUnspecified() { // as in 64:ff9b:1::/96
			all = append(all, four)
		}
	}
	return all
}
