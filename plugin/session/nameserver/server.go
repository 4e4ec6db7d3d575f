package nameserver

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/nameserver/spelling"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/nameserver/wire"
)

const (
	// answerTimeout is less than what stub resolvers wait.
	answerTimeout = 4 * time.Second
	// maxPending bounds the queries that wait for an answer.
	maxPending = 1024
)

// Server answers queries. It is safe for concurrent use.
type Server struct {
	log   *slog.Logger
	state atomic.Pointer[state]
	sent  spelling.Sent
	count counters
	now   func() time.Time
	slots chan struct{}

	mu   sync.Mutex              // guards Set and self
	self map[netip.AddrPort]bool // own addresses
}

var _ dns.Handler = (*Server)(nil)

// Stats counts since the Server was made.
type Stats struct {
	Queries, Cached   uint64 // those that came in, those that the cache answered
	Cluster, Upstream uint64 // those sent to the cluster, and to the laptop's resolvers
	Failed            uint64 // questions that had no answer
	Loops             uint64 // own queries that came back
}

type counters struct{ queries, cached, cluster, upstream, failed, loops atomic.Uint64 }

// New makes a Server. It answers once Serve or ServeDNS is called.
func New(c Config, log *slog.Logger) *Server {
	s := &Server{log: log, now: time.Now, slots: make(chan struct{}, maxPending), self: map[netip.AddrPort]bool{}}
	s.state.Store(newState(s, c))
	return s
}

// Set changes what the Server knows, for queries that come from now on. Cached
// answers that would be the same are kept. None are kept if the cluster, its domain,
// its networks or the connected namespace change, or if addresses are translated
// before or after.
func (s *Server) Set(c Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, st := s.state.Load(), newState(s, c)
	if old.sameWorld(st) {
		st.health = old.health
		st.cache.copyFrom(old.cache, func(e *entry) bool {
			q, err := wire.ParseKey(e.key)
			return err == nil && !e.alias && e.route.Equal(st.names.Route(q.Name, q.Type))
		})
	}
	s.state.Store(st)
}

// Stats returns what has been counted.
func (s *Server) Stats() Stats {
	c := &s.count
	return Stats{Queries: c.queries.Load(), Cached: c.cached.Load(), Cluster: c.cluster.Load(), Upstream: c.upstream.Load(),
		Failed: c.failed.Load(), Loops: c.loops.Load()}
}

// ServeDNS answers a query that a dns.Server received.
func (s *Server) ServeDNS(w dns.ResponseWriter, m *dns.Msg) {
	packet, err := m.Pack()
	if err != nil {
		dns.HandleFailed(w, m)
		return
	}
	limit := dns.MaxMsgSize
	if a := w.RemoteAddr(); a != nil && a.Network() == "udp" {
		limit = 0
	}
	if b := s.answer(context.Background(), packet, limit); b != nil {
		_, _ = w.Write(b) // if it fails, the asker asks again
	}
}

// fast answers, over dst, a query whose answer is known. Without done, the caller
// has to call slow; without a reply, the query gets none. A limit of zero is the
// size that the query allows for a datagram.
func (s *Server) fast(dst, packet []byte, limit int) (reply []byte, done bool) {
	q, rcode, ok := wire.Parse(packet)
	if !ok {
		return nil, true
	}
	s.count.queries.Add(1)
	if limit == 0 {
		limit = q.Size
	}
	if rcode != dns.RcodeSuccess {
		return wire.Failure(dst, &q, rcode, "", limit), true
	}
	var b [wire.MaxKey]byte
	e, age := s.state.Load().cache.get(q.AppendKey(b[:0]), s.now())
	if e == nil {
		return nil, false
	}
	s.count.cached.Add(1)
	return e.answer.Reply(dst, &q, age, limit), true
}

// slow answers a query for which fast had no answer, once there is one.
func (s *Server) slow(ctx context.Context, packet []byte, limit int) []byte {
	q, _, _ := wire.Parse(packet)
	if limit == 0 {
		limit = q.Size
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		return wire.Failure(nil, &q, dns.RcodeServerFailure, "too many queries wait for an answer", limit)
	}
	key := q.AppendKey(make([]byte, 0, wire.MaxKey))
	if to, back := s.sent.Find(q.Name, q.Type); back {
		s.count.loops.Add(1)
		s.log.Debug("a query has come back", "from", to)
		if to == names.Laptop {
			return wire.Failure(nil, &q, dns.RcodeRefused, "the query has gone round", limit)
		}
		key[len(key)-1] |= byte(wire.ForCluster)
	}
	a, err := s.state.Load().fetch(ctx, string(key))
	if err != nil {
		s.count.failed.Add(1)
		return wire.Failure(nil, &q, dns.RcodeServerFailure, err.Error(), limit)
	}
	return a.Reply(nil, &q, 0, limit)
}

func (s *Server) answer(ctx context.Context, packet []byte, limit int) []byte {
	if b, done := s.fast(nil, packet, limit); done {
		return b
	}
	return s.slow(ctx, packet, limit)
}
