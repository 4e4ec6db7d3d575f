//go:build linux

package stack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// These tests need no TUN: a second network stack, at the other end of a pair
// of sockets, is the laptop.

const patience = 20 * time.Second

type funcs struct {
	tcp  func(*TCPRequest)
	udp  func(*UDPFlow)
	ping func(*Echo)
}

func (f funcs) TCP(_ context.Context, r *TCPRequest) {
	if f.tcp != nil {
		f.tcp(r)
	}
}

func (f funcs) UDP(_ context.Context, u *UDPFlow) {
	if f.udp == nil {
		u.Refuse()
		return
	}
	f.udp(u)
}

func (f funcs) Ping(_ context.Context, e *Echo) {
	if f.ping != nil {
		f.ping(e)
	}
}

func sockets(t testing.TB) (a, b *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fds[0]), "far"), os.NewFile(uintptr(fds[1]), "laptop")
}

// pair is a Stack and the laptop's network.
func pair(t *testing.T, offload bool, h Handler) (*Stack, *stack.Stack) {
	t.Helper()
	far, near := sockets(t)
	s, err := New(Config{File: far, Offload: offload, Handler: h})
	if err != nil {
		t.Fatal(err)
	}
	laptop := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	w, err := newWire(Config{File: near, Offload: offload})
	if err != nil {
		t.Fatal(err)
	}
	l := newLink(w, 1500, offload)
	l.echo, l.gone = func([]byte) bool { return false }, func(error) {}
	if err := laptop.CreateNIC(nic, l); err != nil {
		t.Fatal(err)
	}
	for _, a := range []string{"10.99.0.1/16", "fd99::1/64"} {
		p := netip.MustParsePrefix(a)
		full, proto := fullAddress(netip.AddrPortFrom(p.Addr(), 0))
		laptop.AddProtocolAddress(nic, tcpip.ProtocolAddress{
			Protocol: proto, AddressWithPrefix: tcpip.AddressWithPrefix{Address: full.Addr, PrefixLen: p.Bits()},
		}, stack.AddressProperties{})
	}
	laptop.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nic}, {Destination: header.IPv6EmptySubnet, NIC: nic}})
	l.start()
	t.Cleanup(func() {
		s.Close()
		laptop.Close()
		l.shut()
		laptop.Wait()
		noneLeft(t)
	})
	return s, laptop
}

func noneLeft(t *testing.T) {
	t.Helper()
	b := make([]byte, 1<<20)
	for until := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		s := string(b[:runtime.Stack(b, true)])
		if !strings.Contains(s, "tcpip/transport") && !strings.Contains(s, "stack.(*link)") {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("goroutines stay:\n%s", s)
		}
	}
}

func dial(t *testing.T, laptop *stack.Stack, to string) *gonet.TCPConn {
	t.Helper()
	full, proto := fullAddress(netip.MustParseAddrPort(to))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := gonet.DialContextTCP(ctx, laptop, full, proto)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return c
}

func accepted(f func(*Conn)) func(*TCPRequest) {
	return func(r *TCPRequest) {
		if c, err := r.Accept(); err == nil {
			f(c)
		}
	}
}

func everyWay(t *testing.T, f func(t *testing.T, offload bool, host string)) {
	for name, offload := range map[string]bool{"offload": true, "plain": false} {
		for _, host := range []string{"10.99.0.2", "[fd99::2]"} {
			t.Run(name+" "+host, func(t *testing.T) { f(t, offload, host) })
		}
	}
}

func TestPairBytes(t *testing.T) {
	everyWay(t, func(t *testing.T, offload bool, host string) {
		const size = 8 << 20
		random := func() io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{1}), size) }
		want := sha256.New()
		io.Copy(want, random())
		check := func(who string, r io.Reader) {
			got := sha256.New()
			if _, err := io.Copy(got, r); err != nil || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
				t.Errorf("%s read other bytes: %v", who, err)
			}
		}
		var wg sync.WaitGroup
		wg.Add(1)
		_, laptop := pair(t, offload, funcs{tcp: accepted(func(c *Conn) {
			defer wg.Done()
			wg.Go(func() { check("far side", c) })
			io.Copy(c, random())
			c.CloseWrite()
		})})
		c := dial(t, laptop, host+":80")
		wg.Go(func() {
			io.Copy(c, random())
			c.CloseWrite()
		})
		check("laptop", c)
		wg.Wait()
	})
}

func TestPairReset(t *testing.T) {
	everyWay(t, func(t *testing.T, offload bool, host string) {
		got := make(chan error, 2)
		_, laptop := pair(t, offload, funcs{tcp: accepted(func(c *Conn) {
			b := make([]byte, 1)
			c.Read(b)
			if b[0] == 'r' {
				c.Reset()
				_, err := c.Read(b)
				got <- err
				return
			}
			_, err := c.Read(b)
			got <- err
			_, err = c.Read(b)
			got <- err
		})})
		c := dial(t, laptop, host+":80")
		c.Write([]byte("r"))
		if _, err := c.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("after Reset the program saw %v", err)
		}
		if err := <-got; !errors.Is(err, net.ErrClosed) {
			t.Errorf("own read after Reset: %v", err)
		}
	})
}

func TestPairRefused(t *testing.T) {
	_, laptop := pair(t, true, funcs{})
	full, proto := fullAddress(netip.MustParseAddrPort("10.99.0.2:1"))
	if _, err := gonet.DialContextTCP(t.Context(), laptop, full, proto); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("dial: %v", err)
	}
	c, err := gonet.DialUDP(laptop, nil, &full, proto)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte("x"))
	for until := time.Now().Add(patience); ; {
		c.SetDeadline(time.Now().Add(10 * time.Millisecond)) // gonet does not wake for errors
		_, err := c.Read(make([]byte, 1))
		if err != nil && strings.Contains(err.Error(), "refused") {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("read: %v", err)
		}
	}
}

func TestPairDatagrams(t *testing.T) {
	everyWay(t, func(t *testing.T, offload bool, host string) {
		_, laptop := pair(t, offload, funcs{udp: func(f *UDPFlow) {
			defer f.Close()
			b := make([]byte, 64<<10)
			for {
				n, err := f.Read(b)
				if err != nil {
					return
				}
				f.Write(b[:n])
			}
		}})
		full, proto := fullAddress(netip.MustParseAddrPort(host + ":53"))
		c, err := gonet.DialUDP(laptop, nil, &full, proto)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		for _, size := range []int{1, 1400, 9000} {
			sent, got := bytes.Repeat([]byte{7}, size), make([]byte, 64<<10)
			c.Write(sent)
			n, err := c.Read(got)
			if err != nil || !bytes.Equal(got[:n], sent) {
				t.Fatalf("%d bytes of %d: %v", n, size, err)
			}
		}
	})
}
