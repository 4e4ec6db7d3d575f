package nameserver

import (
	"net"
	"net/netip"

	"github.com/miekg/dns"
)

// translate puts the addresses under which the laptop reaches the cluster's
// into an answer.
func (st *state) translate(m *dns.Msg) {
	for _, rrs := range [][]dns.RR{m.Answer, m.Extra} {
		for _, rr := range rrs {
			switch rr := rr.(type) {
			case *dns.A:
				rr.A = st.translateIP(rr.A)
			case *dns.AAAA:
				rr.AAAA = st.translateIP(rr.AAAA)
			case *dns.SVCB:
				st.translateHints(rr)
			case *dns.HTTPS:
				st.translateHints(&rr.SVCB)
			}
		}
	}
}

func (st *state) translateIP(ip net.IP) net.IP {
	a, ok := netip.AddrFromSlice(ip)
	if !ok {
		return ip
	}
	a = a.Unmap()
	b := st.names.Translate(a)
	if b == a && st.config.External != nil {
		b = st.config.External(a)
	}
	if b != a && b.Is4() == a.Is4() {
		return b.AsSlice()
	}
	return ip
}

func (st *state) translateHints(s *dns.SVCB) {
	for _, v := range s.Value {
		var hints []net.IP
		switch v := v.(type) {
		case *dns.SVCBIPv4Hint:
			hints = v.Hint
		case *dns.SVCBIPv6Hint:
			hints = v.Hint
		}
		for i := range hints {
			hints[i] = st.translateIP(hints[i])
		}
	}
}
