//go:build rootful && linux

package stack_test

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/kubectl-intercept/kubectl-intercept/netd/stack"
	"github.com/kubectl-intercept/kubectl-intercept/netd/stack/tuntest"
)

// The programs of a test run in a namespace with the TUN, at these addresses;
// every other address of the two networks is the Stack's.
const (
	own, own6 = "10.99.0.1/16", "fd99::1/64"
	patience  = 20 * time.Second
)

type lab struct {
	*testing.T
	space *tuntest.Space
	stack *stack.Stack
}

func newLab(t *testing.T, offload bool, h stack.Handler) *lab {
	t.Helper()
	return newLabMTU(t, offload, 1500, h)
}

func newLabMTU(t *testing.T, offload bool, mtu int, h stack.Handler) *lab {
	t.Helper()
	space, err := tuntest.New()
	must(t, err)
	t.Cleanup(func() { space.Close() })
	file, err := space.TUN("tun0", offload, mtu, own, own6)
	must(t, err)
	s, err := stack.New(stack.Config{
		File: file, Offload: offload, MTU: mtu, Handler: h,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return &lab{T: t, space: space, stack: s}
}

func (l *lab) tryDial(network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := l.space.Dial(ctx, network, addr)
	if err == nil {
		c.SetDeadline(time.Now().Add(patience))
		l.Cleanup(func() { c.Close() })
	}
	return c, err
}

func (l *lab) dial(network, addr string) net.Conn {
	l.Helper()
	c, err := l.tryDial(network, addr)
	must(l.T, err)
	return c
}

// both runs f with a TUN of each kind.
func both(t *testing.T, f func(t *testing.T, offload bool)) {
	t.Run("offload", func(t *testing.T) { f(t, true) })
	t.Run("plain", func(t *testing.T) { f(t, false) })
}

func deleteLink(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkDel(link)
}
