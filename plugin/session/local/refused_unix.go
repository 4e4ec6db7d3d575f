//go:build unix

package local

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// refused says that the other side of a UDP socket has reported its port closed
// (ICMP). On this machine it does so before the write has returned.
func refused(conn net.Conn) bool {
	s, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return false
	}
	code := 0
	err = raw.Control(func(fd uintptr) {
		code, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR) // 0 if it cannot be asked
	})
	return err == nil && syscall.Errno(code) == unix.ECONNREFUSED
}
