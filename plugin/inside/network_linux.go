package inside

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
	"github.com/kubectl-intercept/kubectl-intercept/netd/route"
	"github.com/kubectl-intercept/kubectl-intercept/netd/tun"
)

// device is the name of the TUN. The namespace is new, so the name is free.
const device = tun.Prefix + "0"

// six is an address that the TUN always has (RFC 4193), so that the program reaches
// IPv6 addresses as the laptop does, even if the session gives none.
var six = netip.MustParsePrefix("fd6b:6963:7470:2::1/64")

// network configures the network of the namespace. Its methods must not run
// concurrently.
type network struct {
	addresses []netip.Prefix
	offload   bool
}

// prepare brings up the loopback interface. It also lets the program use what
// otherwise needs root: ICMP echo sockets (icmp(7)) and ports below 1024.
func (n *network) prepare() error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return forbidden(err)
	}
	group := fmt.Sprintf("%d %d", os.Getegid(), os.Getegid())
	for name, value := range map[string]string{"ping_group_range": group, "ip_unprivileged_port_start": "0"} {
		// In a container, /proc/sys is often read-only. Then ping and low ports do
		// not work, but everything else does.
		_ = os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0)
	}
	return nil
}

// open makes the TUN, and removes an earlier one first. The caller must close the
// device's file.
func (n *network) open(c *handover.Config) (*tun.Device, error) {
	if err := n.close(); err != nil {
		return nil, err
	}
	d, err := tun.Open(device)
	if err != nil {
		return nil, forbidden(err)
	}
	n.addresses = nil
	if err := n.update(c); err != nil {
		d.File.Close()
		return nil, err
	}
	return d, nil
}

// update sets the addresses of the TUN and routes every address into it, which covers
// all routes that the session asks for.
func (n *network) update(c *handover.Config) error {
	link, err := netlink.LinkByName(device)
	if err == nil {
		err = netlink.LinkSetMTU(link, c.MTU)
	}
	if err == nil {
		err = netlink.LinkSetUp(link)
	}
	if err != nil {
		return fmt.Errorf("set up the TUN: %w", err)
	}
	wanted := append([]netip.Prefix{six}, c.Addresses...)
	if b, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + device + "/disable_ipv6"); err != nil || strings.TrimSpace(string(b)) != "0" {
		wanted = only4(wanted)
	}
	for _, p := range wanted {
		a := &netlink.Addr{IPNet: ipNet(p)}
		if p.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD
		}
		if err := netlink.AddrReplace(link, a); err != nil {
			return fmt.Errorf("set address %s: %w", p, err)
		}
	}
	for _, p := range n.addresses {
		if !contains(wanted, p) {
			_ = netlink.AddrDel(link, &netlink.Addr{IPNet: ipNet(p)}) // an address that stays does no harm
		}
	}
	n.addresses = wanted
	return everywhere(link, wanted)
}

// everywhere routes all of IPv4 into the TUN, and all of IPv6 if the TUN has an IPv6
// address.
func everywhere(link netlink.Link, have []netip.Prefix) error {
	for _, p := range []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)} {
		if p.Addr().Is6() && len(only4(have)) == len(have) {
			continue
		}
		if err := netlink.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(p), Scope: netlink.SCOPE_UNIVERSE}); err != nil {
			return fmt.Errorf("set route %s: %w", p, err)
		}
	}
	return nil
}

// close removes the TUN, even while a process has it open. It also resets the
// connections that used the TUN: programs would otherwise wait for a timeout.
func (n *network) close() error {
	link, err := netlink.LinkByName(device)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		reset()
		return nil
	}
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove the TUN: %w", err)
	}
	reset()
	return nil
}

// reset resets all connections of the namespace, except those to a loopback address.
func reset() {
	route.ResetConnections(func(_, to netip.Addr) bool { return !to.IsLoopback() })
}

func only4(list []netip.Prefix) (four []netip.Prefix) {
	for _, p := range list {
		if p.Addr().Is4() {
			four = append(four, p)
		}
	}
	return four
}

func contains(list []netip.Prefix, p netip.Prefix) bool {
	for _, x := range list {
		if x == p {
			return true
		}
	}
	return false
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
