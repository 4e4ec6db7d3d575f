package nameserver

import (
	"context"
	"errors"
	"sync"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/nameserver/laptopdns"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/nameserver/wire"
)

// pending is a question that has no answer yet. All equal queries wait for one.
type pending struct {
	key    string
	done   chan struct{}
	answer *wire.Answer
	err    error
}

// fetch returns the answer for a key, from the cache, from the lookup that is under
// way, or from one that it starts. Ctx ends when the Server does.
func (st *state) fetch(ctx context.Context, key string) (*wire.Answer, error) {
	st.mu.Lock()
	l := st.pending[key]
	if l == nil {
		if e, _ := st.cache.get([]byte(key), st.server.now()); e != nil {
			st.mu.Unlock()
			return e.answer, nil // it has just arrived
		}
		q, err := wire.ParseKey(key)
		if err != nil {
			st.mu.Unlock()
			return nil, err
		}
		l = st.add(key)
		run := st.prepare(ctx, q, l)
		st.prefetch(ctx, q)
		st.mu.Unlock()
		run()
	} else {
		st.mu.Unlock()
	}
	select {
	case <-l.done:
		return l.answer, l.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// prefetch looks up what a stub resolver asks for next when the first name that it
// made with the search list does not exist. That is so for each name of the world
// outside: all its names cost one round trip then. st.mu is held.
func (st *state) prefetch(ctx context.Context, q wire.Question) {
	if _, paired := q.OtherFamily(); !paired {
		return
	}
	for _, name := range st.names.Siblings(q.Name) {
		next := q
		next.Name = name
		if key := next.Key(); st.route(next).Source == names.Cluster && st.isNew(key) {
			go st.prepare(ctx, next, st.add(key))()
		}
	}
}

// isNew says that an answer is neither known nor looked up; st.mu is held.
func (st *state) isNew(key string) bool {
	e, _ := st.cache.get([]byte(key), st.server.now())
	return e == nil && st.pending[key] == nil
}

// add begins a lookup; st.mu is held.
func (st *state) add(key string) *pending {
	l := &pending{key: key, done: make(chan struct{})}
	st.pending[key] = l
	return l
}

// prepare returns what gets the answer. For a name of a cluster with both address
// families, it gets that of the other family as well. st.mu is held.
func (st *state) prepare(ctx context.Context, q wire.Question, l *pending) (run func()) {
	r := st.route(q)
	other, paired := q.OtherFamily()
	if !paired || !st.names.DualStack() || r.Source != names.Cluster && r.Source != names.ClusterFirst {
		return func() {
			ctx, cancel := context.WithTimeout(ctx, answerTimeout)
			defer cancel()
			m, alias, err := st.resolve(ctx, q, 0)
			st.finish(q, l, r, m, alias, err)
		}
	}
	var second *pending
	if key := other.Key(); st.isNew(key) {
		second = st.add(key)
	}
	return func() {
		ctx, cancel := context.WithTimeout(ctx, answerTimeout)
		mine, theirs := st.ask(ctx, r, q.Type), st.ask(ctx, r, other.Type)
		var both sync.WaitGroup
		if second != nil {
			both.Go(func() {
				m, err := st.fromCluster(ctx, other, r, theirs, mine)
				st.finish(other, second, r, m, false, err)
			})
		}
		m, err := st.fromCluster(ctx, q, r, mine, theirs)
		st.finish(q, l, r, m, false, err)
		go func() {
			both.Wait()
			cancel()
		}()
	}
}

// finish ends a lookup with an answer, and caches that if it may be kept.
func (st *state) finish(q wire.Question, l *pending, r names.Route, m *dns.Msg, alias bool, err error) {
	if err == nil {
		l.answer, err = wire.Pack(q, m, st.server.now())
	}
	if l.err = err; err == nil {
		st.cache.put(l.key, &entry{answer: l.answer, route: r, alias: alias})
	}
	st.mu.Lock()
	delete(st.pending, l.key)
	st.mu.Unlock()
	close(l.done)
}

// route says who answers a question.
func (st *state) route(q wire.Question) names.Route {
	if q.How&wire.ForCluster != 0 {
		return names.Route{Source: names.Laptop}
	}
	return st.names.Route(q.Name, q.Type)
}

var errMappings = errors.New("mappings lead to each other")

// resolve answers a question. Alias says that a mapping had a part in the answer.
func (st *state) resolve(ctx context.Context, q wire.Question, depth int) (m *dns.Msg, alias bool, err error) {
	if depth > 8 {
		return nil, false, errMappings
	}
	r := st.route(q)
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
	other, paired := q.OtherFamily()
	var mine, theirs *future
	switch {
	case paired && st.names.DualStack():
		mine, theirs = st.ask(ctx, r, q.Type), st.ask(ctx, r, other.Type)
	case q.Type == dns.TypeAAAA:
		mine, theirs = st.ask(ctx, r, q.Type), st.askOnDemand(ctx, r, other.Type)
	default: // without a goroutine
		mine = st.askNow(ctx, r, q.Type)
		theirs = mine
	}
	m, err = st.fromCluster(ctx, q, r, mine, theirs)
	return m, false, err
}

// fromLaptop asks the laptop's resolvers.
func (st *state) fromLaptop(ctx context.Context, q wire.Question) (*dns.Msg, error) {
	return st.laptop.Exchange(ctx, laptopdns.Query{Name: q.Name, Type: q.Type, DNSSEC: q.How&wire.WithDO != 0, CheckingDisabled: q.How&wire.WithCD != 0})
}
