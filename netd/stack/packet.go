package stack

import (
	"encoding/binary"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// icmpPacket is an ICMP message, or a fragment of one, in its IP packet.
type icmpPacket struct {
	src, dst netip.Addr
	body     []byte // of the packet; not a copy
	fragment bool
	id       uint32
	offset   int
	more     bool
}

// parseICMP finds the ICMP message in an IP packet. ok is false for every
// other packet, and for one that is not well formed.
func parseICMP(b []byte) (p icmpPacket, ok bool) {
	switch {
	case !maybeICMP(b):
		return p, false
	case b[0]>>4 == 4:
		return parseICMPv4(b)
	}
	return parseICMPv6(b)
}

// maybeICMP looks only at the fixed header: behind an extension header there
// can be anything.
func maybeICMP(b []byte) bool {
	if len(b) < header.IPv4MinimumSize {
		return false
	}
	switch b[0] >> 4 {
	case 4:
		return b[9] == uint8(header.ICMPv4ProtocolNumber)
	case 6:
		switch header.IPv6ExtensionHeaderIdentifier(b[6]) {
		case header.IPv6ExtensionHeaderIdentifier(header.ICMPv6ProtocolNumber), header.IPv6FragmentExtHdrIdentifier, header.IPv6HopByHopOptionsExtHdrIdentifier,
			header.IPv6RoutingExtHdrIdentifier, header.IPv6DestinationOptionsExtHdrIdentifier:
			return true
		}
	}
	return false
}

func parseICMPv4(b []byte) (p icmpPacket, ok bool) {
	h := header.IPv4(b)
	if !h.IsValid(len(b)) || !h.IsChecksumValid() {
		return p, false
	}
	p.src, _ = netip.AddrFromSlice(b[12:16])
	p.dst, _ = netip.AddrFromSlice(b[16:20])
	p.body = b[h.HeaderLength():h.TotalLength()]
	p.id, p.offset, p.more = uint32(h.ID()), int(h.FragmentOffset()), h.More()
	p.fragment = p.offset > 0 || p.more
	return p, true
}

func parseICMPv6(b []byte) (p icmpPacket, ok bool) {
	if len(b) < header.IPv6MinimumSize {
		return p, false
	}
	size := int(binary.BigEndian.Uint16(b[4:]))
	if header.IPv6MinimumSize+size > len(b) {
		return p, false
	}
	p.src, _ = netip.AddrFromSlice(b[8:24])
	p.dst, _ = netip.AddrFromSlice(b[24:40])
	next, rest := b[6], b[header.IPv6MinimumSize:header.IPv6MinimumSize+size]
	for {
		switch header.IPv6ExtensionHeaderIdentifier(next) {
		case header.IPv6ExtensionHeaderIdentifier(header.ICMPv6ProtocolNumber):
			p.body = rest
			return p, true
		case header.IPv6HopByHopOptionsExtHdrIdentifier, header.IPv6RoutingExtHdrIdentifier, header.IPv6DestinationOptionsExtHdrIdentifier:
			if len(rest) < 8 || len(rest) < 8*(int(rest[1])+1) {
				return p, false
			}
			next, rest = rest[0], rest[8*(int(rest[1])+1):]
		case header.IPv6FragmentExtHdrIdentifier:
			if p.fragment || len(rest) < header.IPv6FragmentHeaderSize {
				return p, false
			}
			where := binary.BigEndian.Uint16(rest[2:])
			p.offset, p.more, p.id = int(where&^7), where&1 != 0, binary.BigEndian.Uint32(rest[4:])
			next, rest = rest[0], rest[header.IPv6FragmentHeaderSize:]
			p.fragment = p.offset > 0 || p.more
			if p.fragment && next != uint8(header.ICMPv6ProtocolNumber) {
				return p, false
			}
		default:
			return p, false
		}
	}
}

// echoRequest reports whether a whole message is an echo request.
func echoRequest(src, dst netip.Addr, msg []byte) bool {
	if len(msg) < 8 || msg[1] != 0 {
		return false
	}
	var sum uint16
	if src.Is6() {
		if msg[0] != uint8(header.ICMPv6EchoRequest) {
			return false
		}
		sum = header.PseudoHeaderChecksum(header.ICMPv6ProtocolNumber,
			tcpip.AddrFromSlice(src.AsSlice()), tcpip.AddrFromSlice(dst.AsSlice()), uint16(len(msg)))
	} else if msg[0] != uint8(header.ICMPv4Echo) {
		return false
	}
	return checksum.Checksum(msg, sum) == 0xffff
}
