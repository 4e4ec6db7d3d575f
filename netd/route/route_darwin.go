package route

import (
	"errors"
	"fmt"
	"math/bits"
	"net"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// Read lists this machine's routes, except those through the device except. If
// except is "", it lists all of them.
func Read(except string) ([]Entry, error) {
	rib, err := syscall.RouteRIB(syscall.NET_RT_DUMP, 0)
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	messages, err := syscall.ParseRoutingMessage(rib)
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	var all []Entry
	for _, m := range messages {
		r, ok := m.(*syscall.RouteMessage)
		if !ok || r.Header.Flags&syscall.RTF_UP == 0 || r.Header.Flags&(syscall.RTF_WASCLONED|syscall.RTF_MULTICAST|syscall.RTF_BROADCAST) != 0 {
			continue
		}
		addrs, err := syscall.ParseRoutingSockaddr(m)
		if err != nil || len(addrs) <= syscall.RTAX_DST {
			continue
		}
		e := Entry{Local: r.Header.Flags&syscall.RTF_LOCAL != 0}
		if i, err := net.InterfaceByIndex(int(r.Header.Index)); err == nil {
			e.Device = i.Name
		}
		to := address(addrs[syscall.RTAX_DST])
		n := to.BitLen()
		if r.Header.Flags&syscall.RTF_HOST == 0 {
			n = 0
			if len(addrs) > syscall.RTAX_NETMASK {
				n = ones(addrs[syscall.RTAX_NETMASK])
			}
		}
		if len(addrs) > syscall.RTAX_GATEWAY && r.Header.Flags&syscall.RTF_GATEWAY != 0 {
			e.Gateway = address(addrs[syscall.RTAX_GATEWAY])
		}
		e.Prefix = netip.PrefixFrom(to, n)
		if !e.Prefix.IsValid() || to.IsLinkLocalUnicast() || to.IsMulticast() || to.IsLoopback() || except != "" && e.Device == except {
			continue
		}
		all = append(all, e)
	}
	return all, nil
}

func address(s syscall.Sockaddr) netip.Addr {
	switch s := s.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrFrom4(s.Addr)
	case *syscall.SockaddrInet6:
		return netip.AddrFrom16(s.Addr)
	}
	return netip.Addr{}
}

// ones returns the prefix length of a network mask.
func ones(s syscall.Sockaddr) (n int) {
	if a := address(s); a.IsValid() {
		for _, b := range a.AsSlice() {
			n += bits.OnesCount8(b)
		}
	}
	return n
}

// HasIPv6 reports whether the device can have IPv6 addresses.
func HasIPv6(string) bool { return true }

// Apply changes the state of the device from one to another. If that fails, Apply
// tries to restore the state from. A zero from has nothing to restore.
func Apply(device string, from, to State) error {
	err := change(device, from, to)
	if err != nil && from.MTU > 0 {
		err = errors.Join(err, change(device, to, from))
	}
	return err
}

func change(device string, from, to State) error {
	if err := run("ifconfig", device, "mtu", strconv.Itoa(to.MTU), "up"); err != nil {
		return err
	}
	add, remove := difference(from.Addresses, to.Addresses)
	for _, p := range remove {
		if err := run("ifconfig", device, family(p), p.Addr().String(), "delete"); err != nil {
			return err
		}
	}
	for _, p := range add {
		args := []string{device, family(p), p.String(), p.Addr().String(), "alias"}
		if p.Addr().Is6() {
			args = []string{device, family(p), p.Addr().String(), "prefixlen", strconv.Itoa(p.Bits()), "alias"}
		}
		if err := run("ifconfig", args...); err != nil {
			return err
		}
	}
	add, remove = difference(networks(from), networks(to))
	for _, p := range add {
		if err := run("route", "-q", "-n", "add", "-"+family(p), p.String(), "-interface", device); err != nil {
			return err
		}
	}
	for _, p := range remove {
		if err := run("route", "-q", "-n", "delete", "-"+family(p), p.String(), "-interface", device); err != nil {
			return err
		}
	}
	return nil
}

// networks returns the routes of a state and the networks of its addresses. The
// device is a point-to-point link, for which macOS adds no route to the network of
// an address.
func networks(s State) []netip.Prefix {
	all := s.Routes
	for _, p := range s.Addresses {
		if !p.IsSingleIP() {
			all = append(all[:len(all):len(all)], p.Masked())
		}
	}
	return all
}

// Delete takes the device down, which ends its routes. The kernel removes the
// device itself when its file descriptor is closed.
func Delete(device string) error {
	if _, err := net.InterfaceByName(device); err != nil {
		return nil
	}
	return run("ifconfig", device, "down")
}

func family(p netip.Prefix) string {
	if p.Addr().Is6() {
		return "inet6"
	}
	return "inet"
}

func run(name string, args ...string) error {
	out, err := exec.Command("/sbin/"+name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
