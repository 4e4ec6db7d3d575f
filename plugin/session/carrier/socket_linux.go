package carrier

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// limitSilence lets a connection break when sent bytes are not acknowledged
// in time; keepalive does not see that case.
func limitSilence(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		// Best effort: without it the kernel's retries take their time.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds()))
	})
}
