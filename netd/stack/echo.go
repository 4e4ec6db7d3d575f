package stack

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Echo is one echo request (RFC 792, RFC 4443).
type Echo struct {
	From, To netip.Addr
	ID, Seq  uint16
	Payload  []byte

	icmp *icmpWriter
}

// Reply answers the request with payload, as if To did.
func (e *Echo) Reply(payload []byte) error {
	if len(payload) > maxPacket-header.IPv6MinimumSize-8 {
		return fmt.Errorf("echo reply of %d bytes is too large", len(payload))
	}
	msg := make([]byte, 8+len(payload))
	msg[0] = uint8(header.ICMPv4EchoReply)
	if e.From.Is6() {
		msg[0] = uint8(header.ICMPv6EchoReply)
	}
	binary.BigEndian.PutUint16(msg[4:], e.ID)
	binary.BigEndian.PutUint16(msg[6:], e.Seq)
	copy(msg[8:], payload)
	return e.icmp.write(e.To, e.From, msg)
}

// echo takes echo requests, and pieces of them, before gVisor sees them,
// which would answer those of IPv6 by itself.
func (s *Stack) echo() func(b []byte) bool {
	pieces := fragments{now: time.Now}
	return func(b []byte) bool {
		p, ok := parseICMP(b)
		if !ok {
			return false
		}
		msg := p.body
		if p.fragment {
			if msg = pieces.add(p); msg == nil {
				return true
			}
		}
		if !echoRequest(p.src, p.dst, msg) {
			return p.fragment
		}
		if p.dst.IsMulticast() || p.dst == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
			return true
		}
		select {
		case s.pings <- struct{}{}:
		default:
			return true
		}
		e := &Echo{
			From: p.src, To: p.dst, icmp: s.icmp,
			ID: binary.BigEndian.Uint16(msg[4:]), Seq: binary.BigEndian.Uint16(msg[6:]),
			Payload: bytes.Clone(msg[8:]),
		}
		go func() {
			defer func() { <-s.pings }()
			s.handler.Ping(s.ctx, e)
		}()
		return true
	}
}
