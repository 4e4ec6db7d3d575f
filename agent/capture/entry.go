package capture

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Attributes of linux/netfilter/nfnetlink_conntrack.h.
const (
	ctaTupleOrig  = 1
	ctaTupleReply = 2
	ctaID         = 12
	ctaZone       = 18

	ctaTupleIP    = 1
	ctaTupleProto = 2

	ctaIPv4Src, ctaIPv4Dst, ctaIPv6Src, ctaIPv6Dst = 1, 2, 3, 4

	ctaProtoNum, ctaProtoSrc, ctaProtoDst = 1, 2, 3
)

// tuple is one direction of a tracked connection.
type tuple struct {
	protocol Protocol
	src, dst netip.AddrPort
}

// entry is one tracked connection.
type entry struct {
	orig, reply tuple
	family      uint8
	// key holds the attributes that name the entry in a request.
	key []byte
}

func (e entry) redirected() bool { return e.orig.dst != e.reply.src }

func decodeEntry(body []byte) (entry, error) {
	var e entry
	if len(body) < 4 {
		return e, fmt.Errorf("decode tracked connection: %d bytes", len(body))
	}
	e.family = body[0]
	d, err := netlink.NewAttributeDecoder(body[4:])
	if err != nil {
		return e, fmt.Errorf("decode tracked connection: %w", err)
	}
	d.ByteOrder = binary.BigEndian
	key := netlink.NewAttributeEncoder()
	for d.Next() {
		switch kind := d.Type(); kind {
		case ctaTupleOrig:
			key.Bytes(unix.NLA_F_NESTED|kind, d.Bytes())
			d.Nested(e.orig.decode)
		case ctaTupleReply:
			d.Nested(e.reply.decode)
		case ctaID, ctaZone:
			key.Bytes(kind, d.Bytes())
		}
	}
	if err := d.Err(); err != nil {
		return e, fmt.Errorf("decode tracked connection: %w", err)
	}
	e.key, err = key.Encode()
	return e, err
}

func (t *tuple) decode(d *netlink.AttributeDecoder) error {
	var src, dst netip.Addr
	var sport, dport uint16
	for d.Next() {
		switch d.Type() {
		case ctaTupleIP:
			d.Nested(func(d *netlink.AttributeDecoder) error {
				for d.Next() {
					a, _ := netip.AddrFromSlice(d.Bytes())
					switch d.Type() {
					case ctaIPv4Src, ctaIPv6Src:
						src = a
					case ctaIPv4Dst, ctaIPv6Dst:
						dst = a
					}
				}
				return nil
			})
		case ctaTupleProto:
			d.Nested(func(d *netlink.AttributeDecoder) error {
				for d.Next() {
					switch d.Type() {
					case ctaProtoNum:
						t.protocol = Protocol(d.Uint8())
					case ctaProtoSrc:
						sport = d.Uint16()
					case ctaProtoDst:
						dport = d.Uint16()
					}
				}
				return nil
			})
		}
	}
	t.src, t.dst = netip.AddrPortFrom(src, sport), netip.AddrPortFrom(dst, dport)
	return nil
}
