package capture

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// The marks are compared as whole 32-bit values. Their low halves avoid what other
// programs in a pod or on a node test for: 0x4000 and 0x8000 (kube-proxy), and
// 0x539 under the mask 0xfff (Istio).
const (
	// MarkBypass is on the agent's own connections to the application; no rule
	// redirects or refuses them.
	MarkBypass = 0x6b692d62
	// MarkProof is on test connections. They are redirected like a caller's, but
	// where no rule redirects them they are refused and do not reach the
	// application.
	MarkProof = 0x6b692d70
	// markLastWords is a mark of conntrack's, on a connection that was open before
	// the redirect and of which conntrack saw the application's side first.
	markLastWords = 0x6b692d6c
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
