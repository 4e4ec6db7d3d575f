package nameserver

import (
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/nameserver/laptopdns"
)

// state is a Config in use, with the answers that were got under it.
type state struct {
	server     *Server
	config     Config
	names      *names.Names
	cache      *cache
	laptop     *laptopdns.Client
	health     *health
	background atomic.Int32 // queries to the cluster that run in goroutines of their own

	mu      sync.Mutex
	pending map[string]*pending // by key
}

func newState(s *Server, c Config) *state {
	return &state{server: s, config: c, names: names.New(c.Names), cache: newCache(cacheEntries, cacheBytes), health: &health{},
		laptop:  &laptopdns.Client{Resolvers: slices.Clone(c.Upstream), Self: s.itself, Sent: &s.sent, Count: &s.count.upstream},
		pending: map[string]*pending{}}
}

// sameWorld says that answers under one are right under the other, if they are
// from the same place.
func (st *state) sameWorld(o *state) bool {
	a, b := &st.config, &o.config
	return same(a.Cluster, b.Cluster) && st.names.Domain() == o.names.Domain() && st.names.Namespace() == o.names.Namespace() &&
		slices.Equal(st.laptop.Resolvers, o.laptop.Resolvers) && slices.Equal(a.Names.CIDRs, b.Names.CIDRs) &&
		!a.Names.Translates() && !b.Names.Translates()
}

// same compares what may not be comparable.
func same(a, b Exchanger) bool {
	return a == nil && b == nil || a != nil && b != nil && reflect.TypeOf(a).Comparable() && reflect.TypeOf(b).Comparable() && a == b
}
