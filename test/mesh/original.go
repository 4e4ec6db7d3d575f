//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// originalDestination returns the address that the caller of a redirected connection
// dialed.
func originalDestination(c *net.TCPConn) (netip.AddrPort, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, err
	}
	var to netip.AddrPort
	var failed error
	err = raw.Control(func(fd uintptr) {
		// The kernel writes a sockaddr_in of 16 bytes. The first field of IPv6Mreq
		// has that size.
		var m *unix.IPv6Mreq
		if m, failed = unix.GetsockoptIPv6Mreq(int(fd), unix.SOL_IP, unix.SO_ORIGINAL_DST); failed == nil {
			b := m.Multiaddr
			to = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:4]))
		}
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return to, fmt.Errorf("original destination: %w", err)
	}
	return to, nil
}
