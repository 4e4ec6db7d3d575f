package nameserver

import (
	"context"
	"net/netip"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/nameserver/wire"
)

// ownTTL is the TTL of answers from the configuration, in seconds. It is short, as
// the configuration may change.
const ownTTL = 5

// address is a record of q's type with an address, or nil if it is of another
// family.
func address(q wire.Question, a netip.Addr) dns.RR {
	h := dns.RR_Header{Name: q.Name, Rrtype: q.Type, Class: dns.ClassINET, Ttl: ownTTL}
	switch {
	case q.Type == dns.TypeA && a.Is4():
		return &dns.A{Hdr: h, A: a.AsSlice()}
	case q.Type == dns.TypeAAAA && a.Is6():
		return &dns.AAAA{Hdr: h, AAAA: a.AsSlice()}
	}
	return nil
}

// loopback answers for localhost (RFC 6761 6.3).
func loopback(q wire.Question) *dns.Msg {
	return addresses(q, netip.IPv6Loopback(), netip.MustParseAddr("127.0.0.1"))
}

// addresses is an answer with the addresses of the right family. If there are none,
// it has an SOA, so that resolvers keep it.
func addresses(q wire.Question, all ...netip.Addr) *dns.Msg {
	m := new(dns.Msg)
	for _, a := range all {
		if rr := address(q, a); rr != nil {
			m.Answer = append(m.Answer, rr)
		}
	}
	if len(m.Answer) == 0 {
		m.Ns = []dns.RR{&dns.SOA{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: ownTTL},
			Ns: q.Name, Mbox: ".", Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: ownTTL}}
	}
	return m
}

// fromMapping answers for a name for which another name or an address stands.
func (st *state) fromMapping(ctx context.Context, q wire.Question, target string, depth int) (*dns.Msg, error) {
	if a, err := netip.ParseAddr(target); err == nil {
		return addresses(q, a), nil
	}
	alias := &dns.CNAME{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: ownTTL}, Target: dns.Fqdn(target)}
	m := new(dns.Msg)
	if q.Type != dns.TypeCNAME {
		far := q
		far.Name = alias.Target
		var err error
		if m, _, err = st.resolve(ctx, far, depth+1); err != nil {
			return nil, err
		}
	}
	m.AuthenticatedData = false
	m.Answer = append([]dns.RR{alias}, m.Answer...)
	return m, nil
}
