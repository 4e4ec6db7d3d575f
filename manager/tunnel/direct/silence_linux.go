package direct

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// limitSilence covers what keepalive does not see: bytes that wait to be acknowledged.
func limitSilence(c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return fmt.Errorf("limit silence: %w", err)
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(Silence.Milliseconds()))
	})
	if err = errors.Join(err, set); err != nil {
		return fmt.Errorf("limit silence: %w", err)
	}
	return nil
}
