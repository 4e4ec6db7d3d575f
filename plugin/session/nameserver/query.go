package nameserver

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
	// maxSize of a datagram is what passes without fragments (DNS flag day 2020).
	maxSize = 1232
)

// query is one as it came. It points into the packet.
type query struct {
	id, flags uint16
	question  []byte // name, type and class; nil if there is none to repeat
	name      []byte // in wire form, as it was spelled
	qtype     uint16
	edns, do  bool
	size      int // of a datagram that the asker takes
}

// parse reads a query. Without ok it gets no answer at all; otherwise rcode
// says what is wrong with it, or success.
func parse(p []byte) (q query, rcode int, ok bool) {
	q.size = minSize
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
	q.name, q.question = p[headerLen:end], p[headerLen:end+4]
	q.qtype = binary.BigEndian.Uint16(p[end:])
	class := binary.BigEndian.Uint16(p[end+2:])
	if q.options(p, end+4, count(1)+count(2)+count(3)) != nil {
		return q, dns.RcodeFormatError, true
	}
	if q.edns && q.size < 0 {
		q.size = maxSize
		return q, dns.RcodeBadVers, true
	}
	if class != dns.ClassINET || meta(q.qtype) {
		return q, dns.RcodeRefused, true
	}
	return q, dns.RcodeSuccess, true
}

// options finds the OPT record among n records.
func (q *query) options(p []byte, at, n int) error {
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
			q.size = min(max(int(binary.BigEndian.Uint16(p[end+2:])), minSize), maxSize)
			q.do = binary.BigEndian.Uint16(p[end+6:])&bitDO != 0
			if p[end+5] != 0 {
				q.size = -1 // a version that nobody knows
			}
		}
		at = next
	}
	return nil
}

// meta are types that are no data: transfers, ANY (RFC 8482 lets a server
// refuse it), signatures of transactions.
func meta(t uint16) bool { return t == dns.TypeNone || t == dns.TypeOPT || t >= 128 && t < 256 }

// nameEnd is where a name without pointers ends, -1 if it does not.
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

// skipName is the same for a name that may end in a pointer.
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

// What sets apart equal questions.
const (
	withDO = 1 << iota
	withCD
	outside // the cluster asks the laptop's resolvers
)

// maxKey is the length of the longest key.
const maxKey = 255 + 3

// key appends the form in which questions are compared: the name in lower case,
// the type, and how it is asked.
func (q *query) key(b []byte) []byte {
	for _, c := range q.name { // no length of a label is a letter
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	var how byte
	if q.do {
		how |= withDO
	}
	if q.flags&bitCD != 0 {
		how |= withCD
	}
	return append(b, byte(q.qtype>>8), byte(q.qtype), how)
}

// question is a query that has left its packet.
type question struct {
	name  string // in lower case, with its last dot
	qtype uint16
	how   byte
}

// newQuestion reads a key.
func newQuestion(key []byte) (question, error) {
	n := len(key) - 3
	name, _, err := dns.UnpackDomainName(key[:n], 0)
	if err != nil {
		return question{}, err
	}
	return question{name: name, qtype: binary.BigEndian.Uint16(key[n:]), how: key[n+2]}, nil
}
