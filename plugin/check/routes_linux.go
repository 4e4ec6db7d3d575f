package check

import (
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// routes returns the routes of the kernel's main table. The networks of the interfaces'
// addresses are not enough, because VPNs add other routes.
func routes() ([]Route, error) {
	list, err := netlink.RouteList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return attached()
	}
	var out []Route
	for _, r := range list {
		if r.Dst == nil {
			continue // the default route
		}
		addr, ok := netip.AddrFromSlice(r.Dst.IP)
		if !ok {
			continue
		}
		bits, _ := r.Dst.Mask.Size()
		name := "?"
		if l, err := net.InterfaceByIndex(r.LinkIndex); err == nil {
			name = l.Name
		}
		out = append(out, Route{netip.PrefixFrom(addr.Unmap(), bits).Masked(), name})
	}
	return out, nil
}
