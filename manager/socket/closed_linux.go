package socket

import (
	"net"

	"golang.org/x/sys/unix"
)

// tcpClose is TCP_CLOSE of linux/tcp_states.h.
const tcpClose = 7

// Closed says that the kernel keeps a connection no longer: it was reset, or both
// directions have ended.
func Closed(c *net.TCPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	closed := true
	raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		closed = err == nil && info.State == tcpClose
	})
	return closed
}
