package dialed

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/datagram"
)

// pinger is a socket in front of a network of one host, and of others that
// answer what they were not asked.
type pinger struct {
	net.PacketConn
	host    string
	packets chan packet
}

type packet struct {
	from string
	b    []byte
}

func (p *pinger) WriteTo(b []byte, to net.Addr) (int, error) {
	u := to.(*net.UDPAddr)
	if u.IP.String() != p.host {
		return 0, fmt.Errorf("sent to %s", to)
	}
	protocol, request, reply := protocolICMP, icmp.Type(ipv4.ICMPTypeEcho), icmp.Type(ipv4.ICMPTypeEchoReply)
	if u.IP.To4() == nil {
		protocol, request, reply = protocolICMPv6, ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply
	}
	m, err := icmp.ParseMessage(protocol, b)
	if err != nil || m.Type != request {
		return 0, fmt.Errorf("%v, %w", m, err)
	}
	m.Type = reply
	answer, err := m.Marshal(nil)
	if err != nil {
		return 0, err
	}
	p.packets <- packet{"192.0.2.9", answer} // a stranger
	p.packets <- packet{p.host, b}           // a request
	p.packets <- packet{p.host, answer[:3]}  // cut short
	p.packets <- packet{p.host, answer}
	return len(b), nil
}

func (p *pinger) ReadFrom(b []byte) (int, net.Addr, error) {
	x, ok := <-p.packets
	if !ok {
		return 0, nil, io.EOF
	}
	return copy(b, x.b), &net.UDPAddr{IP: net.ParseIP(x.from)}, nil
}

func TestEchoes(t *testing.T) {
	for _, host := range []string{"10.244.0.7", "fd00:244::7"} {
		p := &pinger{host: host, packets: make(chan packet, 16)}
		c := newEchoes(p, netip.MustParseAddr(host))
		if _, err := c.Write([]byte{1}); err == nil {
			t.Error("half an echo is sent")
		}
		for _, payload := range []string{"", "payload"} {
			if _, err := c.Write(datagram.AppendEcho(nil, 513, []byte(payload))); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 100)
			n, err := c.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			if seq, got, err := datagram.ParseEcho(buf[:n]); err != nil || seq != 513 || string(got) != payload {
				t.Errorf("%s: %d %q, %v, want %q", host, seq, got, err, payload)
			}
			if len(p.packets) != 0 {
				t.Errorf("%s: %d packets left", host, len(p.packets))
			}
		}
		close(p.packets)
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Error(err)
		}
	}
}
