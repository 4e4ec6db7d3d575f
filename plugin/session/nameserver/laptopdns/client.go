// Package laptopdns asks the resolvers that the laptop had before there was a TUN.
package laptopdns

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
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/nameserver/spelling"
)

const (
	// slowAfter is how long a resolver is waited for before the next one is asked
	// as well.
	slowAfter = 800 * time.Millisecond
	// Rounds is how often each resolver is asked for one name.
	Rounds = 2
	// preferFor is how long a resolver that answered in place of a slow one is
	// asked first.
	preferFor = time.Minute
	// tcpTimeout is for an answer that does not fit into a datagram.
	tcpTimeout = 4 * time.Second
	// ednsSize is the datagram that a resolver may send: what passes without
	// fragments (DNS flag day 2020). readSize is what is read.
	ednsSize = 1232
	readSize = 4096
)

// Query is what is asked for.
type Query struct {
	// Name is in lower case, with its last dot.
	Name string
	Type uint16
	// DNSSEC (the DO bit) wants signatures, CheckingDisabled (the CD bit) no
	// validation.
	DNSSEC, CheckingDisabled bool
}

// Client asks the resolvers in their order, each from a new port with a random ID
// and a random spelling. It is safe for concurrent use.
type Client struct {
	Resolvers []netip.AddrPort
	// Self says that an address is the name server's that asks; nil: none is.
	Self func(netip.AddrPort) bool
	// Sent remembers what is sent, so that a query that comes back is known.
	Sent *spelling.Sent
	// Count counts queries.
	Count *atomic.Uint64

	preferred atomic.Int32 // a resolver's index
	until     atomic.Int64 // when that ends, in nanoseconds of the clock
}

var errNoResolver = errors.New("the laptop has no other resolver")

// order returns the resolvers' indexes in the order in which to ask.
func (c *Client) order() []int {
	first := 0
	if time.Now().UnixNano() < c.until.Load() {
		first = int(c.preferred.Load())
	}
	all := make([]int, 0, len(c.Resolvers))
	for i := range c.Resolvers {
		if i = (i + first) % len(c.Resolvers); c.Self == nil || !c.Self(c.Resolvers[i]) {
			all = append(all, i)
		}
	}
	return all
}

// Exchange returns the first answer. A resolver that is slow may still answer while
// the next one is asked. A failure counts as an answer only if there is no better
// one.
func (c *Client) Exchange(ctx context.Context, q Query) (*dns.Msg, error) {
	m, err := c.exchange(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("the laptop's resolvers: %w", err)
	}
	return m, nil
}

func (c *Client) exchange(ctx context.Context, q Query) (*dns.Msg, error) {
	order := c.order()
	if len(order) == 0 {
		return nil, errNoResolver
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		from int
		m    *dns.Msg
		err  error
	}
	results := make(chan result, Rounds*len(order))
	next, open := 0, 0
	start := func() {
		if next == Rounds*len(order) {
			return
		}
		to := order[next%len(order)]
		next, open = next+1, open+1
		go func() {
			m, err := c.attempt(ctx, c.Resolvers[to], q)
			results <- result{to, m, err}
		}()
	}
	timer := time.NewTicker(slowAfter)
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
				if slow && r.from != order[0] {
					c.preferred.Store(int32(r.from))
					c.until.Store(time.Now().Add(preferFor).UnixNano())
				}
				return r.m, nil
			case r.err == nil || worst.m == nil:
				worst = r
			}
			if next < len(order) || r.err != nil && open == 0 && ctx.Err() == nil && slow {
				start()
				timer.Reset(slowAfter)
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

// attempt asks one resolver by UDP, and by TCP for what does not fit.
func (c *Client) attempt(ctx context.Context, to netip.AddrPort, q Query) (*dns.Msg, error) {
	spelled, done := c.Sent.Add(q.Name, q.Type, names.Laptop)
	defer done()
	c.Count.Add(1)
	m := new(dns.Msg)
	m.SetQuestion(spelled, q.Type)
	m.AuthenticatedData = true // asks whether the answer is authentic (RFC 6840 5.7)
	m.CheckingDisabled = q.CheckingDisabled
	m.SetEdns0(ednsSize, q.DNSSEC)
	answer, err := overUDP(ctx, to, m)
	if err == nil && answer.IsEdns0() == nil && (answer.Rcode == dns.RcodeFormatError || answer.Rcode == dns.RcodeNotImplemented) {
		m.Extra, m.AuthenticatedData = nil, false // the resolver does not know EDNS
		answer, err = overUDP(ctx, to, m)
	}
	if errors.Is(err, errSpelling) || err == nil && answer.Truncated {
		m.Id = dns.Id()
		answer, _, err = (&dns.Client{Net: "tcp", Timeout: tcpTimeout}).ExchangeContext(ctx, m, to.String())
	}
	if err != nil {
		return nil, err
	}
	spelling.Undo(answer, q.Name)
	return answer, nil
}

// errSpelling: the resolver does not keep the spelling, or somebody forges answers.
// TCP, with its handshake, tells which.
var errSpelling = errors.New("the answer is for another spelling")

// overUDP asks from a port of its own, and skips answers to other queries.
func overUDP(ctx context.Context, to netip.AddrPort, m *dns.Msg) (*dns.Msg, error) {
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
	c := &dns.Conn{Conn: nc, UDPSize: readSize}
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
			return a, nil // a failure need not repeat the question
		case len(a.Question) != 1 || !strings.EqualFold(a.Question[0].Name, m.Question[0].Name) ||
			a.Question[0].Qtype != m.Question[0].Qtype || a.Question[0].Qclass != m.Question[0].Qclass:
			continue
		case a.Question[0].Name != m.Question[0].Name:
			return nil, errSpelling
		}
		return a, nil
	}
}
