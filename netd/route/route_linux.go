package route

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// protocol is the routing protocol (rtnetlink(7)) of the routes that this package adds.
// The package recognizes its own routes by it, and `ip route` shows it.
const protocol = 105

// Read lists this machine's routes in all tables, except those through the device
// except. If except is "", it lists all of them.
func Read(except string) ([]Entry, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	names := map[int]string{}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	var all []Entry
	for _, r := range routes {
		switch r.Type {
		case unix.RTN_UNICAST, unix.RTN_BLACKHOLE, unix.RTN_UNREACHABLE, unix.RTN_PROHIBIT, unix.RTN_LOCAL:
		default:
			continue
		}
		p := prefix(r.Dst, r.Family)
		if a := p.Addr(); !p.IsValid() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsLoopback() || r.Flags&unix.RTM_F_CLONED != 0 {
			continue
		}
		hops := r.MultiPath
		if len(hops) == 0 {
			hops = []*netlink.NexthopInfo{{LinkIndex: r.LinkIndex, Gw: r.Gw}}
		}
		for _, h := range hops {
			name := names[h.LinkIndex]
			if except != "" && name == except || name == "lo" && r.Type != unix.RTN_LOCAL {
				continue
			}
			gw, _ := netip.AddrFromSlice(h.Gw)
			all = append(all, Entry{Prefix: p, Gateway: gw.Unmap(), Device: name, Local: r.Type == unix.RTN_LOCAL})
		}
	}
	return all, nil
}

// prefix returns the destination of a route. A route without one is a default route.
func prefix(n *net.IPNet, family int) netip.Prefix {
	if n == nil && family == unix.AF_INET {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	if n == nil {
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	p, _ := netip.ParsePrefix(n.String()) // not valid if the mask is not contiguous
	return p
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// HasIPv6 reports whether the device can have IPv6 addresses.
func HasIPv6(device string) bool {
	b, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + device + "/disable_ipv6")
	return err == nil && strings.TrimSpace(string(b)) == "0"
}

// Apply changes the state of the device from one to another. If that fails, Apply
// tries to restore the state from. A zero from has nothing to restore.
func Apply(device string, from, to State) error {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return fmt.Errorf("find %s: %w", device, err)
	}
	if err := converge(link, to); err != nil {
		if from.MTU > 0 {
			err = errors.Join(err, converge(link, from))
		}
		return err
	}
	return nil
}

// Delete removes the device, even if another process has it open. It returns nil if the
// device does not exist.
func Delete(device string) error {
	link, err := netlink.LinkByName(device)
	if errors.As(err, &netlink.LinkNotFoundError{}) || err == nil && link.Type() != "tuntap" {
		return nil // not found, or another program's device of the same name
	}
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("delete %s: %w", device, err)
	}
	return nil
}

// converge gives the device the state s. It compares s with the kernel's state and not
// with the last state applied, because the kernel removes a device's routes together
// with its last address.
func converge(link netlink.Link, s State) error {
	if err := netlink.LinkSetMTU(link, s.MTU); err != nil {
		return fmt.Errorf("set mtu %d: %w", s.MTU, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("set %s up: %w", link.Attrs().Name, err)
	}
	if err := addresses(link, s.Addresses); err != nil {
		return err
	}
	return routes(link, s.Routes)
}

func addresses(link netlink.Link, want []netip.Prefix) error {
	list, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	var have []netip.Prefix
	for _, a := range list {
		if p := prefix(a.IPNet, 0); !p.Addr().IsLinkLocalUnicast() {
			have = append(have, p)
		}
	}
	add, remove := difference(have, want)
	if len(remove) > 0 {
		// The kernel removes all addresses of a network together with the first one. So
		// remove all addresses and add those wanted again, in order.
		add, remove = want, have
	}
	for _, p := range remove {
		if err := netlink.AddrDel(link, &netlink.Addr{IPNet: ipNet(p)}); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return fmt.Errorf("remove address %s: %w", p, err)
		}
	}
	for _, p := range add {
		a := &netlink.Addr{IPNet: ipNet(p)}
		if p.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD
		}
		if err := netlink.AddrAdd(link, a); err != nil {
			return fmt.Errorf("add address %s: %w", p, err)
		}
	}
	return nil
}

func routes(link netlink.Link, want []netip.Prefix) error {
	list, err := netlink.RouteListFiltered(netlink.FAMILY_ALL,
		&netlink.Route{LinkIndex: link.Attrs().Index, Protocol: protocol}, netlink.RT_FILTER_OIF|netlink.RT_FILTER_PROTOCOL)
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	var have []netip.Prefix
	for _, r := range list {
		have = append(have, prefix(r.Dst, r.Family))
	}
	through := func(p netip.Prefix) *netlink.Route {
		r := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(p), Protocol: protocol, Scope: unix.RT_SCOPE_LINK}
		if p.Addr().Is6() {
			r.Scope = unix.RT_SCOPE_UNIVERSE
		}
		return r
	}
	add, remove := difference(have, want)
	for _, p := range add {
		if err := netlink.RouteAdd(through(p)); err != nil {
			return fmt.Errorf("add route %s: %w", p, err)
		}
	}
	for _, p := range remove {
		if err := netlink.RouteDel(through(p)); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("remove route %s: %w", p, err)
		}
	}
	return nil
}
