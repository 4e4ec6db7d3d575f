package nameserver

import (
	"encoding/binary"
	"time"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
)

// Bounds of how long an answer is kept.
const (
	maxPositive = time.Hour
	maxNegative = 5 * time.Minute
)

// entry is an answer in wire form, without an OPT, for any spelling of its
// question. It is not changed once made, but for the cache's own fields.
type entry struct {
	wire  []byte
	ttls  []uint16 // where they are in wire
	rcode int
	ad    bool
	part  bool   // there is more than the cluster could send
	why   string // of a failure

	stored time.Time     // wall clock: a laptop that slept has old answers
	life   time.Duration // zero: not to be kept
	route  names.Route   // where it is from, for a change of configuration
	alias  bool          // other routes had a part in it

	key        string
	prev, next *entry
}

// pack makes an entry of an answer. The message is used up.
func pack(q question, m *dns.Msg, now time.Time) (*entry, error) {
	m.Response = true
	m.Question = []dns.Question{{Name: q.name, Qtype: q.qtype, Qclass: dns.ClassINET}}
	m.Extra = withoutOPT(m.Extra)
	m.Compress = true
	e := &entry{rcode: m.Rcode & 15, ad: m.AuthenticatedData, part: m.Truncated, stored: now.Round(0)}
	m.Rcode &= 15
	var err error
	if e.wire, err = m.Pack(); err != nil {
		return nil, err
	}
	e.life = lifetime(m)
	at := nameEnd(e.wire, headerLen) + 4
	for range len(m.Answer) + len(m.Ns) + len(m.Extra) {
		end := skipName(e.wire, at)
		if end < 0 || end+10 > len(e.wire) {
			return nil, dns.ErrBuf
		}
		e.ttls = append(e.ttls, uint16(end+4))
		at = end + 10 + int(binary.BigEndian.Uint16(e.wire[end+8:]))
	}
	return e, nil
}

func withoutOPT(rrs []dns.RR) []dns.RR {
	kept := rrs[:0:0]
	for _, rr := range rrs {
		if rr.Header().Rrtype != dns.TypeOPT {
			kept = append(kept, rr)
		}
	}
	return kept
}

// lifetime of an answer: the least of its TTLs; a negative one's is bounded by
// the SOA's minimum (RFC 2308 5), and without an SOA it has none.
func lifetime(m *dns.Msg) time.Duration {
	if m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError || m.Truncated {
		return 0
	}
	least, soa, data := ^uint32(0), false, false
	for _, rr := range m.Answer {
		least = min(least, rr.Header().Ttl)
		t := rr.Header().Rrtype
		data = data || t == m.Question[0].Qtype
	}
	bound := maxPositive
	if !data || m.Rcode == dns.RcodeNameError {
		for _, rr := range m.Ns {
			if s, ok := rr.(*dns.SOA); ok {
				least, soa = min(least, s.Hdr.Ttl, s.Minttl), true
			}
		}
		if bound = maxNegative; !soa {
			return 0
		}
	}
	return min(time.Duration(least)*time.Second, bound)
}

// fresh says that the entry may be used, and how old it is, in seconds.
func (e *entry) fresh(now time.Time) (age uint32, ok bool) {
	d := now.Round(0).Sub(e.stored)
	return uint32(d / time.Second), d >= 0 && d < e.life
}

// reply writes the answer to q over dst. At most limit bytes are used; what is
// longer is truncated.
func (e *entry) reply(dst []byte, q *query, age uint32, limit int) []byte {
	dst = append(dst[:0], e.wire...)
	copy(dst[headerLen:], q.name)
	for _, at := range e.ttls {
		ttl := binary.BigEndian.Uint32(dst[at:])
		binary.BigEndian.PutUint32(dst[at:], ttl-min(ttl, age))
	}
	flags := q.flags&(bitRD|bitCD) | bitQR | bitRA | uint16(e.rcode)
	if e.ad && (q.do || q.flags&bitAD != 0) {
		flags |= bitAD
	}
	if e.part && limit < dns.MaxMsgSize {
		flags |= bitTC
	}
	room := limit
	if q.edns {
		room -= optLen
	}
	if len(dst) > room {
		dst = dst[:headerLen+len(q.question)]
		clear(dst[6:headerLen])
		flags |= bitTC
	}
	return finish(dst, q, flags, 0, e.why, limit)
}

// failure writes an answer that is only a code over dst.
func failure(dst []byte, q *query, rcode int, why string, limit int) []byte {
	dst = append(dst[:0], make([]byte, headerLen)...)
	if q.question != nil {
		dst = append(dst, q.question...)
		dst[5] = 1
	}
	flags := q.flags&(0x7800|bitRD|bitCD) | bitQR | bitRA | uint16(rcode&15)
	return finish(dst, q, flags, byte(rcode>>4), why, limit)
}

// finish completes the header and adds the OPT of an answer to a query that had
// one, with the reason of a failure as an extended error (RFC 8914).
func finish(dst []byte, q *query, flags uint16, high byte, why string, limit int) []byte {
	binary.BigEndian.PutUint16(dst, q.id)
	binary.BigEndian.PutUint16(dst[2:], flags)
	if !q.edns {
		return dst
	}
	var do byte
	if q.do {
		do = bitDO >> 8
	}
	binary.BigEndian.PutUint16(dst[10:], binary.BigEndian.Uint16(dst[10:])+1)
	dst = append(dst, 0, 0, byte(dns.TypeOPT), maxSize>>8, maxSize&255, high, 0, do, 0, 0, 0)
	why = why[:min(len(why), 200)]
	if why == "" || len(dst)+6+len(why) > limit {
		return dst
	}
	binary.BigEndian.PutUint16(dst[len(dst)-2:], uint16(6+len(why)))
	dst = append(dst, 0, dns.EDNS0EDE, 0, byte(2+len(why)), 0, byte(dns.ExtendedErrorCodeNoReachableAuthority))
	return append(dst, why...)
}
