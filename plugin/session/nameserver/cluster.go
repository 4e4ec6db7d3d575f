package nameserver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/nameserver/wire"
)

const (
	// aaaaWait is how long AAAA is waited for when A is there.
	aaaaWait = time.Second
	// noSOA is how long the laptop's answer holds, in seconds, for a name that the
	// cluster denied without an SOA.
	noSOA = 5
)

// fromCluster makes the answer to q of what the cluster says, mine, and of what it
// says of the other address family, theirs.
func (st *state) fromCluster(ctx context.Context, q wire.Question, r names.Route, mine, theirs *future) (*dns.Msg, error) {
	wait(ctx, q, mine, theirs)
	var m *dns.Msg
	var err error
	select {
	case <-mine.done:
		m, err = mine.m, mine.err
	default:
		err = context.DeadlineExceeded
		if errors.Is(ctx.Err(), context.DeadlineExceeded) { // the query itself may notice later than the next lookup begins
			st.health.missed(mine.began)
		}
	}
	doubt := err == nil && m.Rcode == dns.RcodeNameError || (err != nil || m.Rcode != dns.RcodeSuccess) && q.Type == dns.TypeAAAA
	if doubt && theirs != mine && theirs.exists(ctx) {
		return addresses(q), nil
	}
	if err != nil {
		return nil, fmt.Errorf("the cluster's name server: %w", err)
	}
	if m.Rcode == dns.RcodeNameError && r.Source == names.ClusterFirst && len(st.config.Upstream) > 0 {
		known, err := st.fromLaptopInstead(ctx, q, m)
		failed := err != nil || known.Rcode != dns.RcodeSuccess && known.Rcode != dns.RcodeNameError
		if !failed || dns.CountLabel(q.Name) > 1 {
			return known, err
		} // else few resolvers answer for names without a dot
	}
	m = m.Copy()
	for _, full := range r.Full {
		rename(m, full, q.Name)
	}
	if r.Source == names.ClusterFirst {
		for _, rr := range m.Ns {
			if rr.Header().Rrtype == dns.TypeSOA {
				rr.Header().Name = q.Name
			}
		}
	}
	st.translate(m)
	return m, nil
}

// wait returns when mine is there. For AAAA it also returns if mine does not come
// within aaaaWait and theirs is there.
func wait(ctx context.Context, q wire.Question, mine, theirs *future) {
	if q.Type != dns.TypeAAAA || theirs == mine {
		select {
		case <-mine.done:
		case <-ctx.Done():
		}
		return
	}
	t := time.NewTimer(aaaaWait)
	defer t.Stop()
	select {
	case <-mine.done:
		return
	case <-ctx.Done():
		return
	case <-t.C:
	}
	if theirs.ask != nil {
		theirs.ask()
	}
	other := theirs.done
	for {
		select {
		case <-mine.done:
			return
		case <-ctx.Done():
			return
		case <-other:
			if theirs.err == nil && theirs.m.Rcode == dns.RcodeSuccess && len(theirs.m.Answer) > 0 {
				return
			}
			other = nil
		}
	}
}

// exists waits for the answer, and says whether it is that there is such a name.
func (f *future) exists(ctx context.Context) bool {
	if f.ask != nil {
		f.ask()
	}
	select {
	case <-f.done:
		return f.err == nil && f.m.Rcode == dns.RcodeSuccess
	case <-ctx.Done():
		return false
	}
}

// fromLaptopInstead asks the laptop's resolvers for a short name that the cluster
// has denied. Their answer holds no longer than the denial.
func (st *state) fromLaptopInstead(ctx context.Context, q wire.Question, denial *dns.Msg) (*dns.Msg, error) {
	m, err := st.fromLaptop(ctx, q)
	if err != nil {
		return nil, err
	}
	bound := uint32(noSOA)
	for _, rr := range denial.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			bound = min(soa.Hdr.Ttl, soa.Minttl)
		}
	}
	for _, rrs := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range rrs {
			if rr.Header().Rrtype == dns.TypeOPT {
				continue // no TTL there
			}
			rr.Header().Ttl = min(rr.Header().Ttl, bound)
			if soa, ok := rr.(*dns.SOA); ok {
				soa.Minttl = min(soa.Minttl, bound)
			}
		}
	}
	return m, nil
}

// rename gives the records of one name to another.
func rename(m *dns.Msg, from, to string) {
	for _, rrs := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range rrs {
			if h := rr.Header(); strings.EqualFold(h.Name, from) {
				h.Name = to
			}
		}
	}
}
