package record

import (
	"net"

	"golang.org/x/sys/unix"
)

// setLowWater sets how many bytes must have arrived before a reader is woken.
func setLowWater(c *net.TCPConn, n int) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	ok := false
	err = raw.Control(func(fd uintptr) {
		ok = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT, n) == nil
	})
	return err == nil && ok
}
