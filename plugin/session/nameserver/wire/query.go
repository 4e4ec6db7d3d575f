// Package wire reads queries and writes answers in the wire form of DNS, without a
// message in between: an answer that is known is sent without an allocation.
package wire

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

// Of the wire form, RFC 1035 4.1.1 and RFC 6891 6.1.2.
const (
	headerLen = 12
	optLen    = 11

	bitQR = 1 << 15
	bitTC = 1 << 9
	bitRD = 1 << 8
	bitRA = 1 << 7
	bitAD = 1 << 5
	bitCD = 1 << 4
	bitDO = 1 << 15 // of an OPT

	minSize = 512
	// MaxSize of a datagram is what passes without fragments (DNS flag day 2020).
	MaxSize = 1232
)

// Query is a query as it came. It points into the packet.
type Query struct {
	Name []byte // in wire form, as it was spelled
	Type uint16
	// Size is the largest datagram that the asker takes.
	Size int

	id, flags uint16
	question  []byte // name, type and class; nil if there is none to repeat
	edns, do  bool
}

// Parse reads a query. Without ok it gets no answer at all; otherwise rcode says
// what is wrong with it, or success.
func Parse(p []byte) (q Query, rcode int, ok bool) {
	q.Size = minSize
	if len(p) < headerLen {
		return q, 0, false
	}
	q.id, q.flags = binary.BigEndian.Uint16(p), binary.BigEndian.Uint16(p[2:])
	if q.flags&bitQR != 0 {
		return q, 0, false
	}
	if q.flags>>11&15 != dns.OpcodeQuery {
		return q, dns.RcodeNotImplemented, true
	}
	count := func(i int) int { return int(binary.BigEndian.Uint16(p[4+2*i:])) }
	end := nameEnd(p, headerLen)
	if count(0) != 1 || end < 0 || end-headerLen > 255 || end+4 > len(p) {
		return q, dns.RcodeFormatError, true
	}
	q.Name, q.question = p[headerLen:end], p[headerLen:end+4]
	q.Type = binary.BigEndian.Uint16(p[end:])
	class := binary.BigEndian.Uint16(p[end+2:])
	if q.options(p, end+4, count(1)+count(2)+count(3)) != nil {
		return q, dns.RcodeFormatError, true
	}
	if q.edns && q.Size < 0 {
		q.Size = MaxSize
		return q, dns.RcodeBadVers, true
	}
	if class != dns.ClassINET || meta(q.Type) {
		return q, dns.RcodeRefused, true
	}
	return q, dns.RcodeSuccess, true
}

// options reads the OPT record among n records.
func (q *Query) options(p []byte, at, n int) error {
	for range n {
		end := skipName(p, at)
		if end < 0 || end+10 > len(p) {
			return dns.ErrBuf
		}
		next := end + 10 + int(binary.BigEndian.Uint16(p[end+8:]))
		if next > len(p) {
			return dns.ErrBuf
		}
		if binary.BigEndian.Uint16(p[end:]) == dns.TypeOPT {
			if q.edns || p[at] != 0 {
				return dns.ErrRdata
			}
			q.edns = true
			q.Size = min(max(int(binary.BigEndian.Uint16(p[end+2:])), minSize), MaxSize)
			q.do = binary.BigEndian.Uint16(p[end+6:])&bitDO != 0
			if p[end+5] != 0 {
				q.Size = -1 // not EDNS version 0
			}
		}
		at = next
	}
	return nil
}

// meta are types that are no data: transfers, ANY (RFC 8482 lets a server
// refuse it), signatures of transactions.
func meta(t uint16) bool { return t == dns.TypeNone || t == dns.TypeOPT || t >= 128 && t < 256 }

// nameEnd is the end of a name without pointers, -1 if it has none.
func nameEnd(p []byte, at int) int {
	for at < len(p) {
		n := int(p[at])
		switch {
		case n == 0:
			return at + 1
		case n > 63:
			return -1
		}
		at += 1 + n
	}
	return -1
}

// skipName is the end of a name that may end in a pointer, -1 if it has none.
func skipName(p []byte, at int) int {
	for at < len(p) {
		n := int(p[at])
		switch {
		case n == 0:
			return at + 1
		case n >= 0xc0 && at+2 <= len(p):
			return at + 2
		case n > 63:
			return -1
		}
		at += 1 + n
	}
	return -1
}
