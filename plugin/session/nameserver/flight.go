package nameserver

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
)

// state is a Config at work, with what was learnt under it.
type state struct {
	server *Server
	config Config
	names  *names.Names
	cache  *cache
	up     *upstream
	health *health
	beside atomic.Int32 // what runs aside

	mu      sync.Mutex
	flights map[string]*flight
}

func newState(s *Server, c Config) *state {
	c.Upstream = slices.Clone(c.Upstream)
	return &state{server: s, config: c, names: names.New(c.Names), cache: newCache(cacheEntries, cacheBytes), health: &health{},
		up: &upstream{server: s, resolvers: c.Upstream}, flights: map[string]*flight{}}
}

// sameWorld says that answers under one are right under the other, if they are
// from the same place.
func (st *state) sameWorld(o *state) bool {
	a, b := &st.config, &o.config
	return same(a.Cluster, b.Cluster) && st.names.Domain() == o.names.Domain() && st.names.Namespace() == o.names.Namespace() &&
		slices.Equal(a.Upstream, b.Upstream) && slices.Equal(a.Names.CIDRs, b.Names.CIDRs) &&
		!a.Names.Translates() && !b.Names.Translates()
}

// same compares what may not be comparable.
func same(a, b Exchanger) bool {
	return a == nil && b == nil || a != nil && b != nil && reflect.TypeOf(a).Comparable() && reflect.TypeOf(b).Comparable() && a == b
}

// flight is a question on its way.
type flight struct {
	key  string
	done chan struct{}
	e    *entry
	err  error
}

// fetch returns the answer for a key, together with all who want it. Ctx ends
// when the Server does.
func (st *state) fetch(ctx context.Context, key string) (*entry, error) {
	st.mu.Lock()
	f := st.flights[key]
	if f == nil {
		if e, _ := st.cache.get([]byte(key), st.server.now()); e != nil {
			st.mu.Unlock()
			return e, nil // it has just arrived
		}
		q, err := newQuestion([]byte(key))
		if err != nil {
			st.mu.Unlock()
			return nil, err
		}
		f = st.depart(key)
		fly := st.lead(ctx, q, f)
		st.ahead(ctx, q)
		st.mu.Unlock()
		fly()
	} else {
		st.mu.Unlock()
	}
	select {
	case <-f.done:
		return f.e, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// ahead gets what a stub resolver asks for next when the first name that it made
// with the search list does not exist, which is so for each of the world's
// names: all of them cost one round trip then. st.mu is held.
func (st *state) ahead(ctx context.Context, q question) {
	if _, paired := q.other(); !paired {
		return
	}
	for _, name := range st.names.Siblings(q.name) {
		next := q
		next.name = name
		if st.where(next).Source != names.Cluster {
			continue
		}
		key := next.key()
		if e, _ := st.cache.get([]byte(key), st.server.now()); e == nil && st.flights[key] == nil {
			go st.lead(ctx, next, st.depart(key))()
		}
	}
}

// depart adds a flight; st.mu is held.
func (st *state) depart(key string) *flight {
	f := &flight{key: key, done: make(chan struct{})}
	st.flights[key] = f
	return f
}

// lead returns what gets the answer, for names of a cluster with both families
// also that of the other one; st.mu is held.
func (st *state) lead(ctx context.Context, q question, f *flight) (fly func()) {
	r := st.where(q)
	other, paired := q.other()
	if !paired || !st.names.DualStack() || r.Source != names.Cluster && r.Source != names.ClusterFirst {
		return func() {
			ctx, cancel := context.WithTimeout(ctx, answerTimeout)
			defer cancel()
			m, alias, err := st.resolve(ctx, q, 0)
			st.land(q, f, r, m, alias, err)
		}
	}
	key := other.key()
	var second *flight
	if e, _ := st.cache.get([]byte(key), st.server.now()); e == nil && st.flights[key] == nil {
		second = st.depart(key)
	}
	return func() {
		ctx, cancel := context.WithTimeout(ctx, answerTimeout)
		mine, theirs := st.ask(ctx, r, q.qtype), st.ask(ctx, r, other.qtype)
		var both sync.WaitGroup
		if second != nil {
			both.Go(func() {
				m, err := st.fromCluster(ctx, other, r, theirs, mine)
				st.land(other, second, r, m, false, err)
			})
		}
		m, err := st.fromCluster(ctx, q, r, mine, theirs)
		st.land(q, f, r, m, false, err)
		go func() {
			both.Wait()
			cancel()
		}()
	}
}

// land ends a flight with an answer, which is kept if it may be.
func (st *state) land(q question, f *flight, r names.Route, m *dns.Msg, alias bool, err error) {
	if err == nil {
		f.e, err = pack(q, m, st.server.now())
	}
	if f.err = err; err == nil {
		f.e.route, f.e.alias = r, alias
		kept := *f.e // the cache's own, as others read f.e
		st.cache.put(f.key, &kept)
	}
	st.mu.Lock()
	delete(st.flights, f.key)
	st.mu.Unlock()
	close(f.done)
}

// where is the route of a question, but for a query of the cluster that has come
// round.
func (st *state) where(q question) names.Route {
	if q.how&outside != 0 {
		return names.Route{Source: names.Laptop}
	}
	return st.names.Route(q.name, q.qtype)
}

var errMappings = errors.New("mappings lead to each other")

// resolve answers a question, with those of its aliases.
func (st *state) resolve(ctx context.Context, q question, depth int) (m *dns.Msg, alias bool, err error) {
	if depth > 8 {
		return nil, false, errMappings
	}
	r := st.where(q)
	switch r.Source {
	case names.Localhost:
		return loopback(q), false, nil
	case names.Mapping:
		m, err = st.fromMapping(ctx, q, r.Target, depth)
		return m, true, err
	case names.Laptop:
		m, err = st.fromLaptop(ctx, q)
		return m, false, err
	}
	other, paired := q.other()
	var mine, theirs *future
	switch {
	case paired && st.names.DualStack():
		mine, theirs = st.ask(ctx, r, q.qtype), st.ask(ctx, r, other.qtype)
	case q.qtype == dns.TypeAAAA:
		mine, theirs = st.ask(ctx, r, q.qtype), st.askLate(ctx, r, other.qtype)
	default: // spares a goroutine
		mine = st.askNow(ctx, r, q.qtype)
		theirs = mine
	}
	m, err = st.fromCluster(ctx, q, r, mine, theirs)
	return m, false, err
}

// other is the same question for the other family of addresses.
func (q question) other() (question, bool) {
	switch q.qtype {
	case dns.TypeA:
		q.qtype = dns.TypeAAAA
	case dns.TypeAAAA:
		q.qtype = dns.TypeA
	default:
		return q, false
	}
	return q, true
}

func (q question) key() string {
	var b [maxKey]byte
	n, err := dns.PackDomainName(q.name, b[:], 0, nil, false)
	if err != nil {
		return "" // not of a question that came
	}
	return string(append(b[:n], byte(q.qtype>>8), byte(q.qtype), q.how))
}
