package dialed

import (
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/datagram"
)

// IANA protocol numbers.
const (
	protocolICMP   = 1
	protocolICMPv6 = 58
)

// dialEcho opens a ping socket (Linux: a datagram socket of ICMP). The process needs
// no capability, but a group within the sysctl net.ipv4.ping_group_range, which
// holds for IPv6, too.
func dialEcho(to netip.Addr) (net.Conn, error) {
	network, local := "udp4", "0.0.0.0"
	if to.Is6() {
		network, local = "udp6", "::"
	}
	c, err := icmp.ListenPacket(network, local)
	if err != nil {
		return nil, fmt.Errorf("open a ping socket (does sysctl net.ipv4.ping_group_range allow it?): %w", err)
	}
	return newEchoes(c, to), nil
}

// newEchoes makes a connection to one host of a socket that speaks ICMP. A writer
// sends echo requests, in the form of datagram.AppendEcho, and a reader gets the
// replies. The kernel sets the identifier.
func newEchoes(c net.PacketConn, to netip.Addr) *echoes {
	e := &echoes{PacketConn: c, to: to, host: &net.UDPAddr{IP: to.AsSlice()}, buf: make([]byte, 64<<10),
		protocol: protocolICMP, request: ipv4.ICMPTypeEcho, reply: ipv4.ICMPTypeEchoReply}
	if to.Is6() {
		e.protocol, e.request, e.reply = protocolICMPv6, ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply
	}
	return e
}

type echoes struct {
	net.PacketConn
	to             netip.Addr
	host           net.Addr
	protocol       int
	request, reply icmp.Type
	buf            []byte
}

var _ net.Conn = (*echoes)(nil)

// Write sends one request. It reports no error if that fails: the request is lost, as
// it might be in any network.
func (e *echoes) Write(p []byte) (int, error) {
	seq, payload, err := datagram.ParseEcho(p)
	if err != nil {
		return 0, err
	}
	m := icmp.Message{Type: e.request, Body: &icmp.Echo{Seq: int(seq), Data: payload}}
	b, err := m.Marshal(nil) // the kernel computes the checksum of ICMPv6
	if err != nil {
		return 0, err
	}
	_, _ = e.WriteTo(b, e.host)
	return len(p), nil
}

// Read waits for the next reply.
func (e *echoes) Read(p []byte) (int, error) {
	for {
		n, from, err := e.ReadFrom(e.buf)
		if err != nil {
			return 0, err
		}
		u, ok := from.(*net.UDPAddr)
		if !ok || u.AddrPort().Addr().Unmap().WithZone("") != e.to {
			continue
		}
		m, err := icmp.ParseMessage(e.protocol, e.buf[:n])
		if err != nil || m.Type != e.reply {
			continue
		}
		if body, ok := m.Body.(*icmp.Echo); ok {
			return copy(p, datagram.AppendEcho(nil, uint16(body.Seq), body.Data)), nil
		}
	}
}

// RemoteAddr is the host.
func (e *echoes) RemoteAddr() net.Addr { return e.host }
