package nameserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
)

const (
	// hurry is when the next of the laptop's resolvers joins in.
	hurry = 800 * time.Millisecond
	// rounds is how often each is asked.
	rounds = 2
	// faith is how long one that answered instead of others comes first.
	faith = time.Minute
)

// upstream are the laptop's resolvers.
type upstream struct {
	server    *Server
	resolvers []netip.AddrPort
	preferred atomic.Int32
	until     atomic.Int64 // by the clock, in nanoseconds
}

var errNoUpstream = errors.New("the laptop has no other resolver")

// fromLaptop asks the laptop's resolvers.
func (st *state) fromLaptop(ctx context.Context, q question) (*dns.Msg, error) {
	m, err := st.up.exchange(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("the laptop's resolvers: %w", err)
	}
	return m, nil
}

// order is that in which to ask.
func (u *upstream) order() []int {
	first := 0
	if time.Now().UnixNano() < u.until.Load() {
		first = int(u.preferred.Load())
	}
	all := make([]int, 0, len(u.resolvers))
	for i := range u.resolvers {
		if i = (i + first) % len(u.resolvers); !u.server.itself(u.resolvers[i]) {
			all = append(all, i)
		}
	}
	return all
}

// exchange asks one after the other; who has not answered may still do so. A
// failure counts as an answer if there is no better one.
func (u *upstream) exchange(ctx context.Context, q question) (*dns.Msg, error) {
	order := u.order()
	if len(order) == 0 {
		return nil, errNoUpstream
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		who int
		m   *dns.Msg
		err error
	}
	results := make(chan result, rounds*len(order))
	next, open := 0, 0
	start := func() {
		if next == rounds*len(order) {
			return
		}
		who := order[next%len(order)]
		next, open = next+1, open+1
		go func() {
			m, err := u.attempt(ctx, u.resolvers[who], q)
			results <- result{who, m, err}
		}()
	}
	timer := time.NewTicker(hurry)
	defer timer.Stop()
	start()
	slow := false
	var worst result
	for open > 0 {
		select {
		case <-timer.C:
			slow = true
			start()
		case r := <-results:
			open--
			switch {
			case r.err == nil && (r.m.Rcode == dns.RcodeSuccess || r.m.Rcode == dns.RcodeNameError):
				if slow && r.who != order[0] {
					u.preferred.Store(int32(r.who))
					u.until.Store(time.Now().Add(faith).UnixNano())
				}
				return r.m, nil
			case r.err == nil || worst.m == nil:
				worst = r
			}
			if next < len(order) || r.err != nil && open == 0 && ctx.Err() == nil && slow {
				start()
				timer.Reset(hurry)
			}
		case <-ctx.Done():
			if worst.m != nil {
				return worst.m, nil
			}
			return nil, ctx.Err()
		}
	}
	return worst.m, worst.err
}

// attempt asks one, by UDP, and by TCP for what does not fit.
func (u *upstream) attempt(ctx context.Context, to netip.AddrPort, q question) (*dns.Msg, error) {
	spelled, done := u.server.marks.add(q.name, q.qtype, names.Laptop)
	defer done()
	u.server.count.upstream.Add(1)
	m := new(dns.Msg)
	m.SetQuestion(spelled, q.qtype)
	m.AuthenticatedData = true // RFC 6840 5.7: wants to know
	m.CheckingDisabled = q.how&withCD != 0
	m.SetEdns0(maxSize, q.how&withDO != 0)
	answer, err := u.overUDP(ctx, to, m)
	if err == nil && answer.IsEdns0() == nil && (answer.Rcode == dns.RcodeFormatError || answer.Rcode == dns.RcodeNotImplemented) {
		m.Extra, m.AuthenticatedData = nil, false // it is older than EDNS
		answer, err = u.overUDP(ctx, to, m)
	}
	if errors.Is(err, errSpelling) || err == nil && answer.Truncated {
		m.Id = dns.Id()
		answer, _, err = (&dns.Client{Net: "tcp", Timeout: answerTimeout}).ExchangeContext(ctx, m, to.String())
	}
	if err != nil {
		return nil, err
	}
	despell(answer, q.name)
	return answer, nil
}

// errSpelling: the resolver does not keep the spelling, or somebody guesses. The
// handshake of TCP tells.
var errSpelling = errors.New("the answer is for another spelling")

// overUDP asks from a port of its own and passes over answers to other
// questions.
func (u *upstream) overUDP(ctx context.Context, to netip.AddrPort, m *dns.Msg) (*dns.Msg, error) {
	nc, err := (&net.Dialer{}).DialContext(ctx, "udp", to.String())
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	if deadline, ok := ctx.Deadline(); ok {
		if err := nc.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	c := &dns.Conn{Conn: nc, UDPSize: clusterSize}
	if err := c.WriteMsg(m); err != nil {
		return nil, err
	}
	for {
		a, err := c.ReadMsg()
		var network net.Error
		switch {
		case errors.As(err, &network):
			return nil, err
		case err != nil || a.Id != m.Id || !a.Response:
			continue
		case len(a.Question) == 0 && a.Rcode != dns.RcodeSuccess && a.Rcode != dns.RcodeNameError:
			return a, nil // a failure without the question: believed for what it is
		case len(a.Question) != 1 || !strings.EqualFold(a.Question[0].Name, m.Question[0].Name) ||
			a.Question[0].Qtype != m.Question[0].Qtype || a.Question[0].Qclass != m.Question[0].Qclass:
			continue
		case a.Question[0].Name != m.Question[0].Name:
			return nil, errSpelling
		}
		return a, nil
	}
}

// despell takes the random spelling of a name out of an answer.
func despell(m *dns.Msg, name string) {
	fix := func(s *string) {
		n := 0 // the length of the end that they have in common
		for n < len(name) && n < len(*s) && strings.EqualFold(name[len(name)-n-1:len(name)-n], (*s)[len(*s)-n-1:len(*s)-n]) {
			n++
		}
		*s = (*s)[:len(*s)-n] + name[len(name)-n:]
	}
	for _, rrs := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range rrs {
			fix(&rr.Header().Name)
			switch rr := rr.(type) {
			case *dns.CNAME:
				fix(&rr.Target)
			case *dns.NS:
				fix(&rr.Ns)
			case *dns.PTR:
				fix(&rr.Ptr)
			case *dns.MX:
				fix(&rr.Mx)
			case *dns.SRV:
				fix(&rr.Target)
			case *dns.SOA:
				fix(&rr.Ns)
				fix(&rr.Mbox)
			}
		}
	}
}
