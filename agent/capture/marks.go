package capture

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// The rules compare marks as whole 32-bit values. Other programs test single bits of a
// mark: kube-proxy tests 0x4000 and 0x8000, and Istio tests for 0x539 under the mask
// 0xfff. These marks match none of those tests.
const (
	// MarkBypass marks the agent's own connections to the application. No rule
	// redirects or refuses them.
	MarkBypass = 0x6b692d62
	// MarkProof marks test connections. The rules redirect them like those of a
	// caller. A test connection that is not redirected is refused, so it never reaches
	// the application.
	MarkProof = 0x6b692d70
	// markAppFirst is a conntrack mark. It marks connections that were open before the
	// redirect and of which conntrack saw a packet of the application first.
	markAppFirst = 0x6b692d6c
)

// Control returns a function for net.Dialer.Control or net.ListenConfig.Control
// that puts mark on the socket.
func Control(mark int) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, mark)
		})
		if err == nil {
			err = failed
		}
		if err != nil {
			return fmt.Errorf("mark socket (needs NET_ADMIN): %w", err)
		}
		return nil
	}
}
