package nameserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
)

const (
	// sickTimeout is for a cluster that did not answer the last time.
	sickTimeout = 500 * time.Millisecond
	// patience is what AAAA gets when A is there.
	patience = time.Second
	// unsure is how long the laptop's word counts for a name that the cluster
	// denied without an SOA.
	unsure = 5
	// clusterSize is the datagram that the cluster may send: it does not pass the
	// laptop's networks as one.
	clusterSize = 4096
)

// health is whether the cluster answers at all.
type health struct {
	answered atomic.Int64 // when, by the clock, in nanoseconds
	sick     atomic.Bool
}

// future is an answer of the cluster to come.
type future struct {
	// late, unless nil, has it asked for, which was not done yet.
	late func()
	done chan struct{}
	m    *dns.Msg
	err  error
}

// ask asks the cluster for all of a route's names and takes the first that
// exists.
func (st *state) ask(ctx context.Context, r names.Route, t uint16) *future {
	f := &future{done: make(chan struct{})}
	st.aside(func() { st.fill(ctx, f, r, t) })
	return f
}

// askLate asks when that is wanted.
func (st *state) askLate(ctx context.Context, r names.Route, t uint16) *future {
	f := &future{done: make(chan struct{})}
	f.late = sync.OnceFunc(func() { st.aside(func() { st.fill(ctx, f, r, t) }) })
	return f
}

// aside asks in a goroutine of its own, for which an answer may not wait.
func (st *state) aside(ask func()) {
	st.beside.Add(1)
	go func() {
		defer st.beside.Add(-1)
		ask()
	}()
}

// askNow returns what has come.
func (st *state) askNow(ctx context.Context, r names.Route, t uint16) *future {
	f := &future{done: make(chan struct{})}
	st.fill(ctx, f, r, t)
	return f
}

func (st *state) fill(ctx context.Context, f *future, r names.Route, t uint16) {
	defer close(f.done)
	others := make([]*future, len(r.Full)-1)
	for i, name := range r.Full[1:] {
		others[i] = &future{done: make(chan struct{})}
		st.aside(func() {
			defer close(others[i].done)
			others[i].m, others[i].err = st.askOne(ctx, name, t)
		})
	}
	f.m, f.err = st.askOne(ctx, r.Full[0], t)
	for _, one := range others {
		if f.err != nil || f.m.Rcode != dns.RcodeNameError {
			return
		}
		<-one.done
		f.m, f.err = one.m, one.err
	}
}

var errNoCluster = errors.New("the session has no cluster")

// askOne sends one query; its answer is for the name as it is here.
func (st *state) askOne(ctx context.Context, name string, t uint16) (*dns.Msg, error) {
	if st.config.Cluster == nil {
		return nil, errNoCluster
	}
	began := time.Now().UnixNano()
	if st.health.sick.Load() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, sickTimeout)
		defer cancel()
	}
	spelled, done := st.server.marks.add(name, t, names.Cluster)
	defer done()
	st.server.count.cluster.Add(1)
	q := new(dns.Msg)
	q.SetQuestion(spelled, t)
	q.SetEdns0(clusterSize, false)
	m, err := st.config.Cluster.Exchange(ctx, q)
	if err != nil {
		if (errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)) && st.health.answered.Load() < began {
			st.health.sick.Store(true)
		}
		return nil, err
	}
	st.health.answered.Store(time.Now().UnixNano())
	st.health.sick.Store(false)
	m = m.Copy() // an Exchanger may give one answer to many
	despell(m, name)
	return m, nil
}

// fromCluster makes the answer to q of what the cluster said, and theirs of what
// it said of the other family.
func (st *state) fromCluster(ctx context.Context, q question, r names.Route, mine, theirs *future) (*dns.Msg, error) {
	wait(ctx, q, mine, theirs)
	var m *dns.Msg
	var err error
	select {
	case <-mine.done:
		m, err = mine.m, mine.err
	default:
		err = context.DeadlineExceeded
	}
	doubt := err == nil && m.Rcode == dns.RcodeNameError || (err != nil || m.Rcode != dns.RcodeSuccess) && q.qtype == dns.TypeAAAA
	if doubt && theirs != mine && theirs.exists(ctx) {
		return addresses(q), nil
	}
	if err != nil {
		return nil, fmt.Errorf("the cluster's name server: %w", err)
	}
	if m.Rcode == dns.RcodeNameError && r.Source == names.ClusterFirst && len(st.config.Upstream) > 0 {
		known, err := st.denied(ctx, q, m)
		failed := err != nil || known.Rcode != dns.RcodeSuccess && known.Rcode != dns.RcodeNameError
		if !failed || dns.CountLabel(q.name) > 1 {
			return known, err
		} // else few resolvers have to do with names without a dot
	}
	m = m.Copy()
	for _, full := range r.Full {
		rename(m, full, q.name)
	}
	if r.Source == names.ClusterFirst {
		for _, rr := range m.Ns {
			if rr.Header().Rrtype == dns.TypeSOA {
				rr.Header().Name = q.name
			}
		}
	}
	st.translate(m)
	return m, nil
}

// wait returns when mine is there, for AAAA also if it does not come within
// patience and theirs is there.
func wait(ctx context.Context, q question, mine, theirs *future) {
	if q.qtype != dns.TypeAAAA || theirs == mine {
		select {
		case <-mine.done:
		case <-ctx.Done():
		}
		return
	}
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-mine.done:
		return
	case <-ctx.Done():
		return
	case <-t.C:
	}
	if theirs.late != nil {
		theirs.late()
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

// exists waits until the cluster has said whether there is such a name.
func (f *future) exists(ctx context.Context) bool {
	if f.late != nil {
		f.late()
	}
	select {
	case <-f.done:
		return f.err == nil && f.m.Rcode == dns.RcodeSuccess
	case <-ctx.Done():
		return false
	}
}

// denied asks the laptop's resolvers for a short name that the cluster does not
// know. Their answer holds no longer than the cluster's.
func (st *state) denied(ctx context.Context, q question, no *dns.Msg) (*dns.Msg, error) {
	m, err := st.fromLaptop(ctx, q)
	if err != nil {
		return nil, err
	}
	bound := uint32(unsure)
	for _, rr := range no.Ns {
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

// translate puts the addresses under which the laptop reaches the cluster's
// into an answer.
func (st *state) translate(m *dns.Msg) {
	one := func(ip net.IP) net.IP {
		a, ok := netip.AddrFromSlice(ip)
		if !ok {
			return ip
		}
		a = a.Unmap()
		b := st.names.Translate(a)
		if b == a && st.config.Around != nil {
			b = st.config.Around(a)
		}
		if b != a && b.Is4() == a.Is4() {
			return b.AsSlice()
		}
		return ip
	}
	all := func(ips []net.IP) {
		for i := range ips {
			ips[i] = one(ips[i])
		}
	}
	hints := func(s *dns.SVCB) {
		for _, v := range s.Value {
			switch v := v.(type) {
			case *dns.SVCBIPv4Hint:
				all(v.Hint)
			case *dns.SVCBIPv6Hint:
				all(v.Hint)
			}
		}
	}
	for _, rrs := range [][]dns.RR{m.Answer, m.Extra} {
		for _, rr := range rrs {
			switch rr := rr.(type) {
			case *dns.A:
				rr.A = one(rr.A)
			case *dns.AAAA:
				rr.AAAA = one(rr.AAAA)
			case *dns.SVCB:
				hints(rr)
			case *dns.HTTPS:
				hints(&rr.SVCB)
			}
		}
	}
}
