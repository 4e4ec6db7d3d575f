//go:build rootful && linux

package stack_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/netd/stack"
)

// udpEcho answers every datagram of a flow until it was idle.
func udpEcho(f *stack.UDPFlow) {
	defer f.Close()
	b := make([]byte, 64<<10)
	for {
		f.SetReadDeadline(time.Now().Add(patience))
		n, err := f.Read(b)
		if err != nil {
			return
		}
		f.Write(b[:n])
	}
}

func TestUDPEcho(t *testing.T) {
	both(t, func(t *testing.T, offload bool) {
		l := newLab(t, offload, handler{udp: udpEcho})
		for _, to := range []string{"10.99.0.2:53", "[fd99::2]:53"} {
			c := l.dial("udp", to)
			for _, size := range []int{0, 1, 1400, 1473, 9000, 60000} {
				want := bytes.Repeat([]byte{byte(size)}, size)
				_, err := c.Write(want)
				must(t, err)
				b := make([]byte, 64<<10)
				n, err := c.Read(b)
				must(t, err)
				if !bytes.Equal(b[:n], want) {
					t.Fatalf("%s: %d bytes came back of %d", to, n, size)
				}
			}
		}
	})
}

func TestUDPRefused(t *testing.T) {
	for _, to := range []string{"10.99.0.2:53", "[fd99::2]:53"} {
		t.Run(to, func(t *testing.T) {
			l := newLab(t, true, handler{})
			c := l.dial("udp", to)
			c.Write([]byte("x"))
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Fatalf("read: %v", err)
			}
		})
	}
}

func TestUDPIdle(t *testing.T) {
	flows, ended := make(chan netip.AddrPort, 10), make(chan error, 10)
	l := newLab(t, true, handler{udp: func(f *stack.UDPFlow) {
		defer f.Close()
		flows <- f.To
		b := make([]byte, 10)
		f.Read(b)
		f.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		_, err := f.Read(b)
		f.Close()
		ended <- err
	}})
	c := l.dial("udp", "10.99.0.2:53")
	for range 2 { // what comes after the end is a flow of its own
		c.Write([]byte("x"))
		if to := <-flows; to.String() != "10.99.0.2:53" {
			t.Fatalf("flow to %s", to)
		}
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("read of an idle flow: %v", err)
		}
	}
}

// pinger is a raw socket of ICMP in the lab's namespace. The kernel fills in
// the checksum of IPv6.
type pinger struct {
	net.PacketConn
	request, reply byte
}

func (l *lab) pinger(to string) *pinger {
	l.Helper()
	p, network := &pinger{request: 8, reply: 0}, "ip4:icmp"
	if netip.MustParseAddr(to).Is6() {
		p, network = &pinger{request: 128, reply: 129}, "ip6:ipv6-icmp"
	}
	must(l.T, l.space.Do(func() (err error) {
		p.PacketConn, err = net.ListenPacket(network, "")
		return err
	}))
	l.Cleanup(func() { p.Close() })
	p.SetDeadline(time.Now().Add(patience))
	return p
}

func (p *pinger) ask(to string, seq uint16, payload []byte) error {
	b := append([]byte{p.request, 0, 0, 0, 0, 7, byte(seq >> 8), byte(seq)}, payload...)
	var sum uint32
	for i := range b {
		sum += uint32(b[i]) << (8 * (1 - i%2))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(b[2:], ^uint16(sum))
	_, err := p.WriteTo(b, &net.IPAddr{IP: net.ParseIP(to)})
	return err
}

// answer returns who answered, to which number, with what.
func (p *pinger) answer() (from string, seq uint16, payload []byte, err error) {
	b := make([]byte, 64<<10)
	for {
		n, addr, err := p.ReadFrom(b)
		if err != nil {
			return "", 0, nil, err
		}
		if n >= 8 && b[0] == p.reply && binary.BigEndian.Uint16(b[4:]) == 7 {
			return addr.String(), binary.BigEndian.Uint16(b[6:]), b[8:n], nil
		}
	}
}

func TestPing(t *testing.T) {
	both(t, func(t *testing.T, offload bool) {
		l := newLab(t, offload, handler{ping: func(e *stack.Echo) {
			e.Reply(append([]byte("pong"), e.Payload...))
		}})
		for _, to := range []string{"10.99.0.2", "fd99::2"} {
			p := l.pinger(to)
			for i, size := range []int{0, 56, 1400, 1472, 3000, 20000} {
				sent := bytes.Repeat([]byte{byte(size)}, size)
				must(t, p.ask(to, uint16(i), sent))
				from, seq, got, err := p.answer()
				must(t, err)
				if from != to || seq != uint16(i) || !bytes.Equal(got, append([]byte("pong"), sent...)) {
					t.Fatalf("%s answered ping %d with %d bytes, want %s, %d, %d", from, seq, len(got), to, i, size+4)
				}
			}
		}
	})
}

// TestNobodyAnswersPings asks where the Handler does not answer, also at an
// address that is in use, and then where it does: whoever answers on his own
// is heard first.
func TestNobodyAnswersPings(t *testing.T) {
	for _, hosts := range [][]string{{"10.99.0.2", "10.99.0.53", "10.99.0.3"}, {"fd99::2", "fd99::53", "fd99::3"}} {
		asked := make(chan netip.Addr, 10)
		l := newLab(t, true, handler{ping: func(e *stack.Echo) {
			if e.To == netip.MustParseAddr(hosts[2]) {
				e.Reply(e.Payload)
			}
			asked <- e.To
		}})
		_, err := l.stack.Listen(netip.AddrPortFrom(netip.MustParseAddr(hosts[1]), 53))
		must(t, err)
		p := l.pinger(hosts[0])
		for i, size := range []int{56, 4000} {
			for _, to := range hosts {
				must(t, p.ask(to, uint16(i), make([]byte, size)))
				if got := <-asked; got != netip.MustParseAddr(to) {
					t.Fatalf("asked about %s, not %s", got, to)
				}
			}
			from, seq, _, err := p.answer()
			must(t, err)
			if from != hosts[2] || seq != uint16(i) {
				t.Fatalf("%s answered ping %d", from, seq)
			}
		}
	}
}

func TestListen(t *testing.T) {
	both(t, func(t *testing.T, offload bool) {
		l := newLab(t, offload, handler{
			tcp: func(*stack.TCPRequest) { t.Error("the handler heard of a connection to a listener") },
			udp: func(*stack.UDPFlow) { t.Error("the handler heard of a datagram to a listener") },
		})
		for _, addr := range []string{"10.99.0.53:53", "[fd99::53]:53"} {
			ap := netip.MustParseAddrPort(addr)
			ln, err := l.stack.Listen(ap)
			must(t, err)
			pc, err := l.stack.ListenPacket(ap)
			must(t, err)
			go func() {
				c, err := ln.Accept()
				if err == nil {
					io.Copy(c, c)
					c.Close()
				}
			}()
			go func() {
				b := make([]byte, 9000)
				if n, from, err := pc.ReadFrom(b); err == nil {
					pc.WriteTo(b[:n], from)
				}
			}()
			for _, network := range []string{"tcp", "udp"} {
				c := l.dial(network, addr)
				c.Write([]byte("question"))
				b := make([]byte, 8)
				_, err := io.ReadFull(c, b)
				must(t, err)
				if string(b) != "question" {
					t.Fatalf("%s: %q", network, b)
				}
				c.Close()
			}
			must(t, ln.Close())
			must(t, pc.Close())
			if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Fatalf("accept after close: %v", err)
			}
		}
	})
}
