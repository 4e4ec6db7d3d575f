package capture

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// soOriginalDst is SO_ORIGINAL_DST and, with the same number, IP6T_SO_ORIGINAL_DST.
const soOriginalDst = 80

// OriginalDestination returns the address to which the caller of a redirected
// connection connected.
func OriginalDestination(c *net.TCPConn) (netip.AddrPort, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("original destination: %w", err)
	}
	local := c.LocalAddr().(*net.TCPAddr).AddrPort().Addr()
	level := unix.SOL_IPV6
	if local.Unmap().Is4() {
		level = unix.SOL_IP
	}
	var name [unix.SizeofSockaddrInet6]byte
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		size := uint32(len(name))
		_, _, errno = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, uintptr(level), soOriginalDst,
			uintptr(unsafe.Pointer(&name)), uintptr(unsafe.Pointer(&size)), 0)
	})
	if err == nil && errno != 0 {
		err = errno
	}
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("original destination: %w", err)
	}
	port := binary.BigEndian.Uint16(name[2:])
	if level == unix.SOL_IP {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(name[4:8])), port), nil
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(name[8:24])), port), nil
}

// Dialed returns a function that returns the address to which the caller of a
// redirected connection connected. The function returns false if the caller did not
// connect to the captured port number, but directly to the agent's port.
func Dialed(number uint16) func(*net.TCPConn) (netip.AddrPort, bool) {
	return func(c *net.TCPConn) (netip.AddrPort, bool) {
		to, err := OriginalDestination(c)
		return to, err == nil && to.Port() == number
	}
}
