package route

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/windows"
	"golang.zx2c4.com/wireguard/windows/tunnel/winipcfg"
)

// Read lists this machine's routes, except those through the device except. If
// except is "", it lists all of them.
func Read(except string) ([]Entry, error) {
	rows, err := winipcfg.GetIPForwardTable2(windows.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	var all []Entry
	for _, r := range rows {
		p := r.DestinationPrefix.Prefix()
		e := Entry{Prefix: p, Gateway: r.NextHop.Addr()}
		if e.Gateway.IsValid() && e.Gateway.IsUnspecified() {
			e.Gateway = netip.Addr{}
			e.Local = p.IsSingleIP() // Windows lists the machine's own addresses as such routes
		}
		if i, err := net.InterfaceByIndex(int(r.InterfaceIndex)); err == nil {
			e.Device = i.Name
		}
		a := p.Addr()
		if !p.IsValid() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsLoopback() || r.Loopback || except != "" && e.Device == except {
			continue
		}
		all = append(all, e)
	}
	return all, nil
}

// HasIPv6 reports whether the device can have IPv6 addresses.
func HasIPv6(device string) bool {
	luid, err := find(device)
	if err == nil {
		_, err = luid.IPInterface(windows.AF_INET6)
	}
	return err == nil
}

// Apply changes the state of the device from one to another. If that fails, Apply
// tries to restore the state from. A zero from has nothing to restore.
func Apply(device string, from, to State) error {
	luid, err := find(device)
	if err != nil {
		return err
	}
	err = change(luid, from, to)
	if err != nil && from.MTU > 0 {
		err = errors.Join(err, change(luid, to, from))
	}
	return err
}

// change changes the state of the device from one to another. To add what exists, or to
// remove what does not exist, is not an error. So Apply can undo a change that was made
// only in part.
func change(luid winipcfg.LUID, from, to State) error {
	for _, family := range []winipcfg.AddressFamily{windows.AF_INET, windows.AF_INET6} {
		if err := link(luid, family, to.MTU); err != nil {
			return err
		}
	}
	add, remove := difference(from.Addresses, to.Addresses)
	for _, p := range remove {
		if err := luid.DeleteIPAddress(p); err != nil && !errors.Is(err, windows.ERROR_NOT_FOUND) {
			return fmt.Errorf("remove address %s: %w", p, err)
		}
	}
	for _, p := range add {
		if err := luid.AddIPAddress(p); err != nil && !errors.Is(err, windows.ERROR_OBJECT_ALREADY_EXISTS) {
			return fmt.Errorf("add address %s: %w", p, err)
		}
	}
	add, remove = difference(from.Routes, to.Routes)
	for _, p := range add {
		if err := luid.AddRoute(p, onLink(p), 0); err != nil && !errors.Is(err, windows.ERROR_OBJECT_ALREADY_EXISTS) {
			return fmt.Errorf("add route %s: %w", p, err)
		}
	}
	for _, p := range remove {
		if err := luid.DeleteRoute(p, onLink(p)); err != nil && !errors.Is(err, windows.ERROR_NOT_FOUND) {
			return fmt.Errorf("remove route %s: %w", p, err)
		}
	}
	return nil
}

// link sets the MTU and the metric of the device. It turns off duplicate address
// detection, router discovery and DHCPv6, because a TUN has no neighbors.
func link(luid winipcfg.LUID, family winipcfg.AddressFamily, mtu int) error {
	i, err := luid.IPInterface(family)
	if errors.Is(err, windows.ERROR_NOT_FOUND) {
		return nil // a machine without this family
	}
	if err == nil {
		i.NLMTU = uint32(mtu)
		i.UseAutomaticMetric, i.Metric = false, 0
		i.DadTransmits = 0
		i.RouterDiscoveryBehavior = winipcfg.RouterDiscoveryDisabled
		i.ManagedAddressConfigurationSupported, i.OtherStatefulConfigurationSupported = false, false
		err = i.Set()
	}
	if err != nil {
		return fmt.Errorf("set mtu %d: %w", mtu, err)
	}
	return nil
}

// onLink returns the unspecified address, which Windows takes as the gateway of a route
// without a gateway.
func onLink(p netip.Prefix) netip.Addr {
	if p.Addr().Is6() {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

// Delete does nothing, because Windows removes an adapter when its process ends.
func Delete(string) error { return nil }

func find(device string) (winipcfg.LUID, error) {
	i, err := net.InterfaceByName(device)
	if err != nil {
		return 0, fmt.Errorf("find %s: %w", device, err)
	}
	luid, err := winipcfg.LUIDFromIndex(uint32(i.Index))
	if err != nil {
		return 0, fmt.Errorf("find %s: %w", device, err)
	}
	return luid, nil
}
