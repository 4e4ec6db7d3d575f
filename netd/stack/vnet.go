package stack

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// The header that precedes every packet of a TUN with IFF_VNET_HDR: struct
// virtio_net_hdr of linux/virtio_net.h, in the machine's byte order.
const (
	vnetSize = 10

	vnetNeedsCsum = 1 // checksum is that of the pseudo header; fill it in
	vnetDataValid = 2 // checksum was looked at

	gsoNone  = 0
	gsoTCPv4 = 1
	gsoTCPv6 = 4
	gsoECN   = 0x80 // flag beside the above
)

// readVnet looks at the header of a packet from the kernel. ok is false for
// what was not asked for with TUNSETOFFLOAD.
func readVnet(h *[vnetSize]byte) (verified, ok bool) {
	switch h[1] &^ gsoECN {
	case gsoNone, gsoTCPv4, gsoTCPv6:
	default:
		return false, false
	}
	return h[0]&(vnetNeedsCsum|vnetDataValid) != 0, true
}

// writeVnet makes the header of a packet to the kernel, which cuts it to
// segments, if at all, only where it leaves the machine.
func writeVnet(h *[vnetSize]byte, p *stack.PacketBuffer) {
	*h = [vnetSize]byte{}
	g := &p.GSOOptions
	if g.Type == stack.GSONone || !g.NeedsCsum {
		return
	}
	start := len(p.NetworkHeader().Slice())
	h[0] = vnetNeedsCsum
	binary.NativeEndian.PutUint16(h[6:], uint16(start))
	binary.NativeEndian.PutUint16(h[8:], g.CsumOffset)
	if g.MSS == 0 || p.Data().Size() <= int(g.MSS) {
		return
	}
	h[1] = gsoTCPv4
	if g.Type == stack.GSOTCPv6 {
		h[1] = gsoTCPv6
	}
	binary.NativeEndian.PutUint16(h[2:], uint16(start+len(p.TransportHeader().Slice())))
	binary.NativeEndian.PutUint16(h[4:], g.MSS)
}
