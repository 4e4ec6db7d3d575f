// Package ports holds the captured ports of the pod: it makes them those that the
// traffic-manager wants, and reports what came of it.
package ports

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/capture"
	"github.com/kubectl-intercept/kubectl-intercept/agent/relay"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

const (
	// probeTime is how long a probe that was under way when its port was captured may last.
	// The kubelet gives a probe a second unless the pod's spec says otherwise. Other callers
	// that have the node's address go on that long, too.
	probeTime  = 2 * time.Second
	checkTime  = 5 * time.Second // until a port whose redirect does not work has failed
	retryPause = 5 * time.Second // before the next attempt at what failed
)

// Listener takes the connections of one port of the application. tcp.Listener and
// udp.Listener do.
type Listener interface {
	// Agent is the agent's port, which callers must be brought to.
	Agent() uint16
	// Book is where the agent's own test connections are noted.
	Book() *capture.ProofBook
	// Route makes the routes those of the port; nil is for none. It returns until when
	// callers are still told of routes that are gone; zero if none are.
	Route(*rpc.CapturePort) time.Time
	// Report puts the counts of a route into its report.
	Report(*rpc.RouteReport)
	// Leave gives everything back to the application at once, as far as that is
	// possible. Close waits for the rest until ctx ends.
	Leave()
	Close(ctx context.Context)
}

// Entrance is how callers of the pod's ports come to the agent. Its methods are
// called one at a time, except Check's result.
type Entrance interface {
	// Listen returns what takes the connections of a port.
	Listen(number uint16, protocol capture.Protocol) (Listener, error)
	// Open brings the callers of these ports to their listeners, and the callers of
	// all others to the application. After an error nothing has changed.
	Open([]capture.Port) error
	// Check returns a function which shows that callers of an open port come here;
	// nil if nothing has to be shown.
	Check(capture.Port) func(context.Context, *capture.ProofBook) error
	// Idle is called when no port is open any more and no connection is left that
	// came by one.
	Idle()
	// Close ends the entrance. What is still served may go on until ctx ends.
	Close(ctx context.Context)
}

// Keeper holds warm connections to the relays of these owners.
type Keeper interface{ Keep([]relay.Owner) }

// Set is the captured ports. Its methods may be called concurrently.
type Set struct {
	ctx      context.Context
	entrance Entrance
	keeper   Keeper
	sidecar  bool // for reports
	log      *slog.Logger
	changed  chan struct{}

	mu      sync.Mutex
	last    *rpc.AgentConfig
	ports   map[id]*port
	leaving []*port // not wanted, but the entrance has not closed them yet
	ending  bool
	drain   drain
}

// New returns an empty Set. Sidecar is what reports say of the agent.
func New(ctx context.Context, e Entrance, k Keeper, sidecar bool, log *slog.Logger) *Set {
	s := &Set{ctx: ctx, entrance: e, keeper: k, sidecar: sidecar, log: log,
		changed: make(chan struct{}, 1), last: &rpc.AgentConfig{}, ports: map[id]*port{}}
	s.drain.ctx, s.drain.cut = context.WithCancel(ctx)
	return s
}

// Changed receives after the state of a port changed.
func (s *Set) Changed() <-chan struct{} { return s.changed }

func (s *Set) signal() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Report says what came of the last Apply, and the counters.
func (s *Set) Report() *rpc.AgentReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &rpc.AgentReport{Generation: s.last.Generation, Sidecar: s.sidecar}
	for _, p := range s.list() {
		r.Notices = r.Notices || len(p.wanted.Routes) == 0
		r.Routes = append(r.Routes, p.report()...)
	}
	return r
}

// list is the ports in the order of their numbers.
func (s *Set) list() []*port {
	var list []*port
	for _, p := range s.ports {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *port) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.protocol, b.protocol))
	})
	return list
}

// Close gives all ports back, waits until their last connections have ended or
// ctx has, and closes the entrance. TCP connections that a laptop has may come to
// their end too: the pod is going, and its callers must not notice. Connections
// that are left then are reset before the entrance closes. Once its rules are gone,
// the kernel translates nothing, and a caller would wait for ever.
func (s *Set) Close(ctx context.Context) {
	s.mu.Lock()
	s.ending = true
	s.mu.Unlock()
	s.Apply(&rpc.AgentConfig{})
	cancel := context.AfterFunc(ctx, s.drain.cut)
	s.drain.work.Wait()
	cancel()
	s.drain.cut()
	s.entrance.Close(ctx)
}
