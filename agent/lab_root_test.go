//go:build rootful

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The tests run the agent in a pod of two network namespaces of their own:
//
//	caller, manager, relay                    agent, application
//	     10.77.0.1, fd77::1  ───── veth ─────  10.77.0.2, fd77::2
//
// Neither has a default route. The machine's own network is not touched.
const (
	callerIP, podIP   = "10.77.0.1", "10.77.0.2"
	callerIP6, podIP6 = "fd77::1", "fd77::2"
	patience          = 15 * time.Second
)

// space is a network namespace.
type space struct {
	t  *testing.T
	ns *os.File
}

type lab struct {
	t           *testing.T
	caller, pod *space
}

func newLab(t *testing.T) *lab {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("this test makes network namespaces and must run as root")
	}
	l := &lab{t: t, caller: newSpace(t), pod: newSpace(t)}
	l.caller.do(func() {
		must(t, netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "eth0",
			PeerNamespace: netlink.NsFd(l.pod.ns.Fd()),
		}))
		configure(t, callerIP+"/24", callerIP6+"/64")
	})
	l.pod.do(func() { configure(t, podIP+"/24", podIP6+"/64") })
	return l
}

func newSpace(t *testing.T) *space {
	t.Helper()
	s := &space{t: t}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			s.ns, err = os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		}
		done <- err
	}()
	must(t, <-done)
	t.Cleanup(func() { s.ns.Close() })
	return s
}

// do runs f with its system calls in the namespace.
func (s *space) do(f func()) {
	s.t.Helper()
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err = unix.Setns(int(s.ns.Fd()), unix.CLONE_NEWNET); err == nil {
			f()
		}
	}()
	<-done
	must(s.t, err)
}

func configure(t *testing.T, addrs ...string) {
	for _, name := range []string{"lo", "eth0"} {
		link, err := netlink.LinkByName(name)
		must(t, err)
		if name == "eth0" {
			for _, a := range addrs {
				addr, err := netlink.ParseAddr(a)
				must(t, err)
				addr.Flags |= unix.IFA_F_NODAD
				must(t, netlink.AddrAdd(link, addr))
			}
		}
		must(t, netlink.LinkSetUp(link))
	}
}

func (s *space) listen(addr string) net.Listener {
	s.t.Helper()
	var ln net.Listener
	s.do(func() {
		lc := net.ListenConfig{}
		lc.SetMultipathTCP(false)
		var err error
		ln, err = lc.Listen(context.Background(), "tcp", addr)
		must(s.t, err)
	})
	s.t.Cleanup(func() { ln.Close() })
	return ln
}

func (s *space) listenUDP(addr string) *net.UDPConn {
	s.t.Helper()
	var c net.PacketConn
	s.do(func() {
		var err error
		c, err = net.ListenPacket("udp", addr)
		must(s.t, err)
	})
	s.t.Cleanup(func() { c.Close() })
	return c.(*net.UDPConn)
}

func (s *space) tryDial(network, addr string) (net.Conn, error) {
	var c net.Conn
	var err error
	s.do(func() { c, err = (&net.Dialer{Timeout: patience}).Dial(network, addr) })
	if err == nil {
		c.SetDeadline(time.Now().Add(patience))
		s.t.Cleanup(func() { c.Close() })
	}
	return c, err
}

func (s *space) dialContext(_ context.Context, network, addr string) (net.Conn, error) {
	return s.tryDial(network, addr)
}

func (s *space) dial(network, addr string) net.Conn {
	s.t.Helper()
	c, err := s.tryDial(network, addr)
	must(s.t, err)
	return c
}

// rules counts what nftables holds: tables, and redirects in them.
func (s *space) rules() (tables, redirects int) {
	s.t.Helper()
	s.do(func() {
		c := &nftables.Conn{}
		list, err := c.ListTables()
		must(s.t, err)
		chains, err := c.ListChains()
		must(s.t, err)
		tables = len(list)
		for _, ch := range chains {
			r, err := c.GetRules(ch.Table, ch)
			must(s.t, err)
			for _, x := range r {
				for _, e := range x.Exprs {
					if _, ok := e.(*expr.Redir); ok {
						redirects++
					}
				}
			}
		}
	})
	return tables, redirects
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits for a condition that nothing announces.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
