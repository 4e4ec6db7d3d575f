package stack

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

const hopLimit = 64

// icmpWriter makes ICMP packets and cuts them to fragments where they are
// larger than the MTU.
type icmpWriter struct {
	mtu  int
	id   atomic.Uint32
	send func(packet []byte) error
}

// write sends an ICMP message, whose checksum it fills in.
func (w *icmpWriter) write(from, to netip.Addr, msg []byte) error {
	src, dst := from.AsSlice(), to.AsSlice()
	proto, head := header.ICMPv4ProtocolNumber, header.IPv4MinimumSize
	msg[2], msg[3] = 0, 0
	var sum uint16
	if from.Is6() {
		proto, head = header.ICMPv6ProtocolNumber, header.IPv6MinimumSize
		sum = header.PseudoHeaderChecksum(proto, tcpip.AddrFromSlice(src), tcpip.AddrFromSlice(dst), uint16(len(msg)))
	}
	binary.BigEndian.PutUint16(msg[2:], ^checksum.Checksum(msg, sum))

	whole := head+len(msg) <= w.mtu
	if !whole && from.Is6() {
		head += header.IPv6FragmentHeaderSize
	}
	step := (w.mtu - head) &^ 7
	if whole {
		step = len(msg)
	}
	id := w.id.Add(1)
	for off := 0; off < len(msg); off += step {
		part := msg[off:min(off+step, len(msg))]
		more := off+len(part) < len(msg)
		p := make([]byte, head+len(part))
		copy(p[head:], part)
		if from.Is6() {
			next := uint8(proto)
			if !whole {
				next = uint8(header.IPv6FragmentExtHdrIdentifier)
				f := p[header.IPv6MinimumSize:]
				f[0] = uint8(proto)
				binary.BigEndian.PutUint16(f[2:], uint16(off))
				if more {
					f[3] |= 1
				}
				binary.BigEndian.PutUint32(f[4:], id)
			}
			p[0] = 6 << 4
			binary.BigEndian.PutUint16(p[4:], uint16(len(p)-header.IPv6MinimumSize))
			p[6], p[7] = next, hopLimit
			copy(p[8:], src)
			copy(p[24:], dst)
		} else {
			p[0] = 4<<4 | header.IPv4MinimumSize/4
			binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
			binary.BigEndian.PutUint16(p[4:], uint16(id))
			binary.BigEndian.PutUint16(p[6:], uint16(off/8))
			if more {
				p[6] |= 0x20
			}
			p[8], p[9] = hopLimit, uint8(proto)
			copy(p[12:], src)
			copy(p[16:], dst)
			h := header.IPv4(p)
			h.SetChecksum(^h.CalculateChecksum())
		}
		if err := w.send(p); err != nil {
			return err
		}
	}
	return nil
}

// unreachable tells from that nothing listens at to. Of the datagram it
// quotes what the kernel needs to find the program: addresses and ports.
func (w *icmpWriter) unreachable(from, to netip.AddrPort, size int) error {
	var msg []byte
	if from.Addr().Is6() {
		msg = make([]byte, 8+header.IPv6MinimumSize+header.UDPMinimumSize)
		msg[0], msg[1] = uint8(header.ICMPv6DstUnreachable), uint8(header.ICMPv6PortUnreachable)
		header.IPv6(msg[8:]).Encode(&header.IPv6Fields{
			PayloadLength:     uint16(size + header.UDPMinimumSize),
			TransportProtocol: header.UDPProtocolNumber, HopLimit: hopLimit,
			SrcAddr: tcpip.AddrFromSlice(from.Addr().AsSlice()), DstAddr: tcpip.AddrFromSlice(to.Addr().AsSlice()),
		})
	} else {
		msg = make([]byte, 8+header.IPv4MinimumSize+header.UDPMinimumSize)
		msg[0], msg[1] = uint8(header.ICMPv4DstUnreachable), uint8(header.ICMPv4PortUnreachable)
		h := header.IPv4(msg[8:])
		h.Encode(&header.IPv4Fields{
			TotalLength: uint16(size + header.UDPMinimumSize + header.IPv4MinimumSize),
			Protocol:    uint8(header.UDPProtocolNumber), TTL: hopLimit,
			SrcAddr: tcpip.AddrFromSlice(from.Addr().AsSlice()), DstAddr: tcpip.AddrFromSlice(to.Addr().AsSlice()),
		})
		h.SetChecksum(^h.CalculateChecksum())
	}
	header.UDP(msg[len(msg)-header.UDPMinimumSize:]).Encode(&header.UDPFields{
		SrcPort: from.Port(), DstPort: to.Port(), Length: uint16(size + header.UDPMinimumSize),
	})
	return w.write(to.Addr(), from.Addr(), msg)
}
