//go:build linux

// Package tuntest gives tests and benchmarks a TUN in a network namespace of
// its own. The namespace has a loopback and the TUN, and no default route.
// The machine's own network is not touched. It needs root.
package tuntest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"time"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Space is a network namespace.
type Space struct{ ns *os.File }

// New makes a namespace whose loopback is up.
func New() (*Space, error) {
	s := &Space{}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			s.ns, err = os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		}
		done <- err
	}()
	if err := <-done; err != nil {
		return nil, fmt.Errorf("make a network namespace (needs root): %w", err)
	}
	return s, s.Do(func() error { return up("lo") })
}

// Close lets the namespace go, which goes when nothing is in it any more.
func (s *Space) Close() error { return s.ns.Close() }

// Do runs f with its system calls in the namespace.
func (s *Space) Do(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Setns(int(s.ns.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// TUN makes a TUN with addresses such as 10.9.0.1/24, whose networks it thus
// reaches. With offload it is what stack.Config.Offload asks for.
func (s *Space) TUN(name string, offload bool, mtu int, addrs ...string) (*os.File, error) {
	var file *os.File
	err := s.Do(func() (err error) {
		if file, err = open(name, offload); err != nil {
			return err
		}
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetMTU(link, mtu); err != nil {
			return err
		}
		for _, a := range addrs {
			addr, err := netlink.ParseAddr(a)
			if err != nil {
				return err
			}
			addr.Flags |= unix.IFA_F_NODAD
			if err := netlink.AddrAdd(link, addr); err != nil {
				return err
			}
		}
		if err := up(name); err != nil {
			return err
		}
		for _, a := range addrs {
			if err := settled(a); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("make TUN %s: %w", name, err)
	}
	return file, nil
}

// settled waits until packets to an address arrive, which the kernel sees to
// in its own time for IPv6.
func settled(addr string) error {
	ip, _, err := net.ParseCIDR(addr)
	if err != nil {
		return err
	}
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		routes, err := netlink.RouteGet(ip)
		if err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL {
			return nil
		}
		if time.Now().After(until) {
			return fmt.Errorf("%s is not ready: routes %v, %w", addr, routes, err)
		}
	}
}

func open(name string, offload bool) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), name)
	flags := uint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if offload {
		flags |= unix.IFF_VNET_HDR
	}
	var req [unix.IFNAMSIZ + 24]byte // struct ifreq
	copy(req[:unix.IFNAMSIZ-1], name)
	*(*uint16)(unsafe.Pointer(&req[unix.IFNAMSIZ])) = flags
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETIFF, uintptr(unsafe.Pointer(&req[0]))); errno != 0 {
		return nil, errors.Join(errno, file.Close())
	}
	if offload {
		if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, unix.TUN_F_CSUM|unix.TUN_F_TSO4|unix.TUN_F_TSO6); err != nil {
			return nil, errors.Join(err, file.Close())
		}
	}
	return file, nil
}

func up(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

// Dial connects from the namespace.
func (s *Space) Dial(ctx context.Context, network, addr string) (c net.Conn, err error) {
	err = s.Do(func() (err error) {
		var d net.Dialer
		d.SetMultipathTCP(false)
		c, err = d.DialContext(ctx, network, addr)
		return err
	})
	return c, err
}

// Listen accepts connections in the namespace.
func (s *Space) Listen(addr string) (l net.Listener, err error) {
	err = s.Do(func() (err error) {
		var lc net.ListenConfig
		lc.SetMultipathTCP(false)
		l, err = lc.Listen(context.Background(), "tcp", addr)
		return err
	})
	return l, err
}
