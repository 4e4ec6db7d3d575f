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

// device is the name of the TUN. Nobody else is there to have it.
const device = tun.Prefix + "0"

// six is the TUN's address if the session has none of IPv6 to give: programs
// reach what the laptop does (RFC 4193).
var six = netip.MustParsePrefix("fd6b:6963:7470:2::1/64")

// network is the namespace's. Its methods are called by one goroutine at a
// time.
type network struct {
	addresses []netip.Prefix
	offload   bool
}

// prepare gives the namespace its localhost, and its user what else needs
// root: echo sockets (icmp(7)) and ports below 1024.
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
		// In a container /proc/sys is often not to be written: then ping and low
		// ports do not work, which is no reason to do without the rest.
		_ = os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0)
	}
	return nil
}

// open makes the TUN, anew if there is one. The file is the caller's.
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

// update gives the TUN its addresses, and every route. Whatever the session
// asks to lead there does.
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
			_ = netlink.AddrDel(link, &netlink.Addr{IPNet: ipNet(p)}) // one too many does no harm
		}
	}
	n.addresses = wanted
	return everywhere(link, wanted)
}

// everywhere leads all of IPv4, and of IPv6 if there is any, into the TUN.
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

// close removes the TUN, whoever has its descriptor, and ends the connections
// that went through it: their programs would wait for an answer for long.
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

// reset ends connections that are not between programs in here.
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
