package capture

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

const register = unix.NFT_REG_1

// metaTime is NFT_META_TIME_NS: nanoseconds since 1970, as a number of the host's order.
const metaTime expr.MetaKey = 30

// TCP flags as they lie in byte 13 of the header.
const (
	flagFIN = 0x01
	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10
)

const (
	directionReply = 1      // IP_CT_DIR_REPLY
	statusDNAT     = 1 << 5 // IPS_DST_NAT
)

// rule is the list of expressions of one nftables rule. Its methods append one
// match or statement each, in the order of `nft`'s own language.
type rule struct {
	chain   string
	comment string
	exprs   []expr.Any
}

func (r rule) add(e ...expr.Any) rule {
	r.exprs = append(r.exprs[:len(r.exprs):len(r.exprs)], e...)
	return r
}

func (r rule) equal(want []byte) rule {
	return r.add(&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: want})
}

func (r rule) unequal(other []byte) rule {
	return r.add(&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: other})
}

// bits masks the register and compares what is left.
func (r rule) bits(mask, want []byte) rule {
	return r.add(&expr.Bitwise{
		SourceRegister: register, DestRegister: register,
		Len: uint32(len(mask)), Mask: mask, Xor: make([]byte, len(mask)),
	}).equal(want)
}

func (r rule) protocol(p Protocol) rule {
	return r.add(&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register}).equal([]byte{byte(p)})
}

// port compares a port of the transport header: the source's is at offset 0, the
// destination's at 2, for TCP and UDP alike.
func (r rule) port(offset uint32, port uint16) rule {
	return r.add(&expr.Payload{
		DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 2,
	}).equal(bigEndian(port))
}

func (r rule) sport(port uint16) rule { return r.port(0, port) }
func (r rule) dport(port uint16) rule { return r.port(2, port) }

func (r rule) tcpFlags(mask, want byte) rule {
	return r.add(&expr.Payload{
		DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 13, Len: 1,
	}).bits([]byte{mask}, []byte{want})
}

// source compares the address that a packet comes from.
func (r rule) source(a netip.Addr) rule {
	family, offset := byte(unix.NFPROTO_IPV4), uint32(12)
	if a.Is6() {
		family, offset = unix.NFPROTO_IPV6, 8
	}
	return r.add(&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: register}).equal([]byte{family}).
		add(&expr.Payload{
			DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(a.BitLen() / 8),
		}).equal(a.AsSlice())
}

// before matches until a time of the kernel's clock.
func (r rule) before(t time.Time) rule {
	return r.add(
		&expr.Meta{Key: metaTime, Register: register},
		&expr.Byteorder{SourceRegister: register, DestRegister: register, Op: expr.ByteorderHton, Len: 8, Size: 8},
		&expr.Cmp{Op: expr.CmpOpLt, Register: register, Data: binary.BigEndian.AppendUint64(nil, uint64(t.UnixNano()))},
	)
}

func (r rule) mark(m uint32) rule {
	return r.add(&expr.Meta{Key: expr.MetaKeyMARK, Register: register}).equal(native(m))
}

func (r rule) notMark(m uint32) rule {
	return r.add(&expr.Meta{Key: expr.MetaKeyMARK, Register: register}).unequal(native(m))
}

func (r rule) out(device string) rule {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, device)
	return r.add(&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: register}).equal(name)
}

func (r rule) ctReply() rule {
	return r.add(&expr.Ct{Key: expr.CtKeyDIRECTION, Register: register}).equal([]byte{directionReply})
}

func (r rule) ctNew() rule {
	return r.add(&expr.Ct{Key: expr.CtKeySTATE, Register: register}).
		bits(native(expr.CtStateBitNEW), native(expr.CtStateBitNEW))
}

func (r rule) ctNotRedirected() rule {
	return r.add(&expr.Ct{Key: expr.CtKeySTATUS, Register: register}).
		bits(native(statusDNAT), native(0))
}

func (r rule) redirect(port uint16) rule {
	return r.add(
		&expr.Immediate{Register: register, Data: bigEndian(port)},
		&expr.Redir{RegisterProtoMin: register},
	)
}

func (r rule) accept() rule { return r.add(&expr.Verdict{Kind: expr.VerdictAccept}) }
func (r rule) drop() rule   { return r.add(&expr.Verdict{Kind: expr.VerdictDrop}) }
func (r rule) reset() rule  { return r.add(&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}) }

func bigEndian(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }

func native(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }
