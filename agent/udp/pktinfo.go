package udp

import (
	"fmt"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// tellLocalAddress makes the kernel say, with each datagram, to which address of the
// pod it was sent.
func tellLocalAddress(network, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_PKTINFO, 1)
		if network == "udp6" {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_RECVPKTINFO, 1)
		}
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("ask for local addresses: %w", err)
	}
	return nil
}

// localAddress returns the local address in a datagram's control data, or the zero
// Addr if there is none.
func localAddress(oob []byte) netip.Addr {
	messages, _ := unix.ParseSocketControlMessage(oob) // none: no address
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.SOL_IP && m.Header.Type == unix.IP_PKTINFO && len(m.Data) >= unix.SizeofInet4Pktinfo:
			return netip.AddrFrom4([4]byte(m.Data[8:12])) // ipi_addr
		case m.Header.Level == unix.SOL_IPV6 && m.Header.Type == unix.IPV6_PKTINFO && len(m.Data) >= unix.SizeofInet6Pktinfo:
			return netip.AddrFrom16([16]byte(m.Data[:16])).Unmap()
		}
	}
	return netip.Addr{}
}

// fromAddress returns control data that makes a the source address of a datagram.
func fromAddress(a netip.Addr) []byte {
	if !a.IsValid() {
		return nil
	}
	if a.Is4() {
		return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: a.As4()})
	}
	return unix.PktInfo6(&unix.Inet6Pktinfo{Addr: a.As16()})
}

// mapped returns a in the form that the socket needs: a dual-stack socket needs IPv4
// addresses mapped to IPv6.
func mapped(a netip.AddrPort, dual bool) netip.AddrPort {
	if dual && a.Addr().Is4() {
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port())
	}
	return a
}
