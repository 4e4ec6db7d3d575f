// Package network connects the spaces of a cluster. The hub is a router with
// a bridge for the nodes and one link for each laptop and for the machine:
//
//	laptop ──┐
//	laptop ──┤   ┌───────┐ bridge ┌── node-1 (API server) ── pods 10.244.1.0/24
//	         ├───┤  hub  ├────────┤
//	machine ─┘   └───────┘        └── node-2 ─────────────── pods 10.244.2.0/24
//
// From the left side, the hub lets through TCP to the API server and nothing
// else. Nothing has a default route except pods, whose node has none, so no
// packet can leave the machine.
package network

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/plan"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/space"
)

const (
	bridge      = "nodes"
	machineSide = "machine"
	uplink      = "eth0"
)

// Known lists the networks that the machine has an address or a route in.
func Known() ([]*net.IPNet, error) {
	var known []*net.IPNet
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		known = append(known, a.IPNet)
	}
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, err
	}
	for _, r := range routes {
		if r.Dst != nil {
			known = append(known, r.Dst)
		}
	}
	return known, nil
}

// SetUpHub makes the bridge, the filter and the link to the machine.
func SetUpHub(c plan.Cluster, hub space.Space) error {
	h, err := open(hub)
	if err != nil {
		return err
	}
	defer h.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = bridge
	if err := h.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
		return fmt.Errorf("create bridge: %w", err)
	}
	if err := up(h, bridge, &net.IPNet{IP: c.Hub(), Mask: c.NodeNet().Mask}); err != nil {
		return err
	}
	if err := up(h, "lo", nil); err != nil {
		return err
	}
	if err := hub.Do(func() error {
		if err := forward(); err != nil {
			return err
		}
		cmd := exec.Command("nft", "-f", "-")
		cmd.Stdin = strings.NewReader(Filter(c))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("set the hub's filter: %w: %s", err, out)
		}
		return nil
	}); err != nil {
		return err
	}
	machine, err := netlink.NewHandle()
	if err != nil {
		return err
	}
	defer machine.Close()
	return joinOutside(c, h, machine, netlink.NsPid(os.Getpid()), machineSide, c.MachineLink(), c.Machine())
}

// JoinNode links a node to the bridge and tells it where pods, services and
// laptops are.
func JoinNode(c plan.Cluster, hub, node space.Space, n plan.Node) error {
	h, err := open(hub)
	if err != nil {
		return err
	}
	defer h.Close()
	inside, err := open(node)
	if err != nil {
		return err
	}
	defer inside.Close()
	if err := veth(h, n.Name, uplink, netlink.NsPid(node.PID())); err != nil {
		return err
	}
	port, err := h.LinkByName(n.Name)
	if err != nil {
		return err
	}
	master, err := h.LinkByName(bridge)
	if err != nil {
		return err
	}
	if err := h.LinkSetMaster(port, master); err != nil {
		return fmt.Errorf("attach %s to the bridge: %w", n.Name, err)
	}
	if err := h.LinkSetUp(port); err != nil {
		return err
	}
	if err := up(inside, "lo", nil); err != nil {
		return err
	}
	if err := up(inside, uplink, &net.IPNet{IP: n.Address, Mask: c.NodeNet().Mask}); err != nil {
		return err
	}
	// The service addresses need a route, or the node's own programs cannot
	// even send to them. kube-proxy rewrites them before they leave.
	routes := map[string]net.IP{c.Subnet().String(): c.Hub(), plan.ServiceCIDR: c.Hub()}
	for _, other := range c.AllNodes() {
		if other.Number != n.Number {
			routes[other.Pods] = other.Address
		}
	}
	for dst, via := range routes {
		_, network, err := net.ParseCIDR(dst)
		if err != nil {
			return err
		}
		if err := inside.RouteAdd(&netlink.Route{Dst: network, Gw: via}); err != nil {
			return fmt.Errorf("route %s on %s: %w", dst, n.Name, err)
		}
	}
	return node.Do(forward)
}

// JoinLaptop links a laptop to the hub. It gets one route: to the API server.
func JoinLaptop(c plan.Cluster, hub, laptop space.Space, index int) error {
	h, err := open(hub)
	if err != nil {
		return err
	}
	defer h.Close()
	inside, err := open(laptop)
	if err != nil {
		return err
	}
	defer inside.Close()
	if err := up(inside, "lo", nil); err != nil {
		return err
	}
	return joinOutside(c, h, inside, netlink.NsPid(laptop.PID()), fmt.Sprintf("laptop%d", index), uplink, c.Laptop(index))
}

// joinOutside links the hub to a place on the other side of its filter.
func joinOutside(c plan.Cluster, h, outside *netlink.Handle, ns netlink.NsPid, near, far string, address net.IP) error {
	if err := veth(h, near, far, ns); err != nil {
		return err
	}
	if err := up(h, near, host(c.Gateway())); err != nil {
		return err
	}
	if err := up(outside, far, host(address)); err != nil {
		return err
	}
	if err := deviceRoute(h, near, address, nil); err != nil {
		return err
	}
	if err := deviceRoute(outside, far, c.Gateway(), nil); err != nil {
		return err
	}
	return deviceRoute(outside, far, c.API(), c.Gateway())
}

func open(s space.Space) (*netlink.Handle, error) {
	ns, err := netns.GetFromPid(s.PID())
	if err != nil {
		return nil, fmt.Errorf("open network of %s: %w", s.Name, err)
	}
	defer ns.Close()
	return netlink.NewHandleAt(ns)
}

// veth makes a pair of links. One left over from a place that was killed goes
// first.
func veth(h *netlink.Handle, near, far string, ns netlink.NsPid) error {
	if old, err := h.LinkByName(near); err == nil {
		_ = h.LinkDel(old)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = near
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: far, PeerNamespace: ns}
	if err := h.LinkAdd(pair); err != nil {
		return fmt.Errorf("create link %s: %w", far, err)
	}
	return nil
}

func up(h *netlink.Handle, name string, address *net.IPNet) error {
	link, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find link %s: %w", name, err)
	}
	if address != nil {
		if err := h.AddrAdd(link, &netlink.Addr{IPNet: address}); err != nil {
			return fmt.Errorf("set address %s on %s: %w", address, name, err)
		}
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("set %s up: %w", name, err)
	}
	return nil
}

func deviceRoute(h *netlink.Handle, name string, dst, via net.IP) error {
	link, err := h.LinkByName(name)
	if err != nil {
		return err
	}
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: host(dst), Gw: via}
	if via == nil {
		route.Scope = netlink.SCOPE_LINK
	}
	if err := h.RouteAdd(route); err != nil {
		return fmt.Errorf("route %s: %w", dst, err)
	}
	return nil
}

func host(ip net.IP) *net.IPNet { return &net.IPNet{IP: ip, Mask: net.CIDRMask(32, 32)} }

func forward() error {
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return fmt.Errorf("allow forwarding: %w", err)
	}
	return nil
}
