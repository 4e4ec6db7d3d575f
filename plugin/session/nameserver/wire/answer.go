package wire

import (
	"encoding/binary"
	"time"

	"github.com/miekg/dns"
)

// Bounds of how long an answer is kept.
const (
	maxPositive = time.Hour
	maxNegative = 5 * time.Minute
)

// Answer is an answer in wire form, without an OPT, for any spelling of its
// question. It never changes.
type Answer struct {
	// Life is how long it may be kept; zero: not at all.
	Life time.Duration

	packet []byte
	ttls   []uint16 // where they are in packet
	rcode  int
	ad     bool
	part   bool // the cluster could not send all of it
	stored time.Time
}

// Pack makes an Answer of a message, and uses the message up.
func Pack(q Question, m *dns.Msg, now time.Time) (*Answer, error) {
	m.Response = true
	m.Question = []dns.Question{{Name: q.Name, Qtype: q.Type, Qclass: dns.ClassINET}}
	m.Extra = withoutOPT(m.Extra)
	m.Compress = true
	a := &Answer{rcode: m.Rcode & 15, ad: m.AuthenticatedData, part: m.Truncated,
		stored: now.Round(0)} // by the wall clock: answers grow old while the laptop sleeps
	m.Rcode &= 15
	var err error
	if a.packet, err = m.Pack(); err != nil {
		return nil, err
	}
	a.Life = lifetime(m)
	at := nameEnd(a.packet, headerLen) + 4
	for range len(m.Answer) + len(m.Ns) + len(m.Extra) {
		end := skipName(a.packet, at)
		if end < 0 || end+10 > len(a.packet) {
			return nil, dns.ErrBuf
		}
		a.ttls = append(a.ttls, uint16(end+4))
		at = end + 10 + int(binary.BigEndian.Uint16(a.packet[end+8:]))
	}
	return a, nil
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

// Size is what the answer takes in memory, in bytes.
func (a *Answer) Size() int { return len(a.packet) + 2*len(a.ttls) }

// Age is in seconds; ok says that the answer may still be used.
func (a *Answer) Age(now time.Time) (age uint32, ok bool) {
	d := now.Round(0).Sub(a.stored)
	return uint32(d / time.Second), d >= 0 && d < a.Life
}

// Reply writes the answer to q over dst. What is longer than limit, in bytes, is
// truncated.
func (a *Answer) Reply(dst []byte, q *Query, age uint32, limit int) []byte {
	dst = append(dst[:0], a.packet...)
	copy(dst[headerLen:], q.Name)
	for _, at := range a.ttls {
		ttl := binary.BigEndian.Uint32(dst[at:])
		binary.BigEndian.PutUint32(dst[at:], ttl-min(ttl, age))
	}
	flags := q.flags&(bitRD|bitCD) | bitQR | bitRA | uint16(a.rcode)
	if a.ad && (q.do || q.flags&bitAD != 0) {
		flags |= bitAD
	}
	if a.part && limit < dns.MaxMsgSize {
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
	return finish(dst, q, flags, 0, "", limit)
}

// Failure writes an answer that is only a code over dst. Why, if that is not "",
// goes along as an extended error (RFC 8914).
func Failure(dst []byte, q *Query, rcode int, why string, limit int) []byte {
	dst = append(dst[:0], make([]byte, headerLen)...)
	if q.question != nil {
		dst = append(dst, q.question...)
		dst[5] = 1
	}
	flags := q.flags&(0x7800|bitRD|bitCD) | bitQR | bitRA | uint16(rcode&15)
	return finish(dst, q, flags, byte(rcode>>4), why, limit)
}

// finish completes the header. The answer to a query with an OPT gets one, too.
func finish(dst []byte, q *Query, flags uint16, high byte, why string, limit int) []byte {
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
	dst = append(dst, 0, 0, byte(dns.TypeOPT), MaxSize>>8, MaxSize&255, high, 0, do, 0, 0, 0)
	why = why[:min(len(why), 200)]
	if why == "" || len(dst)+6+len(why) > limit {
		return dst
	}
	binary.BigEndian.PutUint16(dst[len(dst)-2:], uint16(6+len(why)))
	dst = append(dst, 0, dns.EDNS0EDE, 0, byte(2+len(why)), 0, byte(dns.ExtendedErrorCodeNoReachableAuthority))
	return append(dst, why...)
}
