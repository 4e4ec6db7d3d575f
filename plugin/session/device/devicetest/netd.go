//go:build linux

// Package devicetest is an intercept-netd for tests, which changes nothing of
// the machine: its TUN is one end of a pair of sockets.
package devicetest

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

// Netd answers at a socket. Its methods may be called from any goroutine.
type Netd struct {
	// Refusal, if not nil, returns the reason to refuse a request. It must be set before
	// the first request.
	Refusal func(op string, c *handover.Config) error

	l *net.UnixListener

	mu     sync.Mutex
	conns  map[net.Conn]bool
	open   int
	asked  []handover.Config
	laptop *os.File
	wg     sync.WaitGroup
}

// Listen answers at path until the test ends or Kill is called.
func Listen(t testing.TB, path string) *Netd {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	n := &Netd{l: l, conns: map[net.Conn]bool{}}
	n.wg.Go(func() {
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			n.mu.Lock()
			n.conns[c] = true
			n.mu.Unlock()
			n.wg.Go(func() { n.serve(c) })
		}
	})
	t.Cleanup(n.Kill)
	return n
}

// Kill ends the Netd as a crash does. It may be called again.
func (n *Netd) Kill() {
	n.l.Close()
	n.mu.Lock()
	for c := range n.conns {
		c.Close()
	}
	n.mu.Unlock()
	n.wg.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.laptop != nil {
		n.laptop.Close()
		n.laptop = nil
	}
}

// Open is how many networks there are.
func (n *Netd) Open() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.open
}

// Asked are the configurations that were asked for, also those refused.
func (n *Netd) Asked() []handover.Config {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]handover.Config(nil), n.asked...)
}

// Laptop is the other end of the youngest TUN: each read and write is a packet.
func (n *Netd) Laptop() *os.File {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.laptop
}

func (n *Netd) serve(c *net.UnixConn) {
	up := false
	down := func() {
		if n.mu.Lock(); up {
			n.open--
		}
		n.mu.Unlock()
		up = false
	}
	defer func() {
		c.Close()
		down()
		n.mu.Lock()
		delete(n.conns, c)
		n.mu.Unlock()
	}()
	conn, err := handover.Greet(c, "1.2.3")
	if err != nil {
		return
	}
	for {
		r, err := conn.Receive()
		if err != nil {
			return
		}
		if r.Op == handover.OpClose {
			down()
			if conn.Reply(r.ID, nil, nil, nil) != nil {
				return
			}
			continue
		}
		network, file, err := n.answer(r)
		if err == nil && file != nil {
			n.mu.Lock()
			n.open++
			n.mu.Unlock()
			up = true
		}
		err = conn.Reply(r.ID, network, file, err)
		if file != nil {
			file.Close()
		}
		if err != nil {
			return
		}
	}
}

func (n *Netd) answer(r *handover.Request) (*handover.Network, *os.File, error) {
	if err := r.Check(); err != nil {
		return nil, nil, err
	}
	n.mu.Lock()
	n.asked = append(n.asked, *r.Config)
	n.mu.Unlock()
	if n.Refusal != nil {
		if err := n.Refusal(r.Op, r.Config); err != nil {
			return nil, nil, err
		}
	}
	network := &handover.Network{Interface: "intercept0", DNSMode: handover.DNSResolvConf, Version: "1.2.3",
		Resolvers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")}}
	if r.Op != handover.OpOpen {
		return network, nil, nil
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.laptop != nil {
		n.laptop.Close()
	}
	n.laptop = os.NewFile(uintptr(fds[0]), "laptop")
	return network, os.NewFile(uintptr(fds[1]), "tun"), nil
}
