//go:build linux || darwin

package daemon

import (
	"errors"
	"net"
)

// peerUID returns the user ID of the process at the other end of a unix socket.
func peerUID(c *net.UnixConn) (int, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var uid uint32
	var failed error
	err = raw.Control(func(fd uintptr) { uid, failed = uidOf(int(fd)) })
	return int(uid), errors.Join(err, failed)
}
