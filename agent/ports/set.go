// Package ports holds the captured ports of the pod: it turns the manager's
// desired state into listeners, rules and routes, and reports what came of it.
package ports

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/capture"
	"github.com/kubectl-intercept/kubectl-intercept/agent/relay"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

const (
	proofTime   = 5 * time.Second // until a redirect without proof has failed
	retryPause  = 5 * time.Second // before the next attempt at what failed
	forgetAgain = 2 * time.Second
	settle      = time.Second // how long a listener outlives its redirect
)

// server takes the connections of one captured port.
type server interface {
	// Port is where the redirect leads to.
	Port() uint16
	Book() *capture.ProbeBook
	Route(*relay.Route, *relay.Counters)
	// Leave gives everything back to the application at once, as far as that
	// goes; Close waits for the rest until ctx ends.
	Leave()
	Close(ctx context.Context)
}

type id struct {
	number   uint16
	protocol capture.Protocol
}

// port is one captured port. Set.mu guards it.
type port struct {
	id
	keep     bool // established connections
	server   server
	route    *relay.Route
	counters *relay.Counters
	inForce  bool // the rules are set
	state    rpc.PortState
	message  string
	ctx      context.Context // ends when the port is given back
	cancel   context.CancelFunc
}

func (p *port) capture() capture.Port {
	return capture.Port{Number: p.number, Protocol: p.protocol, Agent: p.server.Port(), KeepEstablished: p.keep}
}

// Set is the captured ports. Its methods may be called concurrently.
type Set struct {
	ctx     context.Context
	pod     []netip.Addr
	table   *capture.Table
	opener  *relay.Opener
	log     *slog.Logger
	changed chan struct{}

	mu         sync.Mutex
	generation uint64
	last       *rpc.AgentConfig
	ports      map[id]*port
	leaving    []*port // wait for their rules to go
	ending     bool
	draining   int
	work       sync.WaitGroup // draining and proving

	drains    context.Context // of what is draining
	cutDrains context.CancelFunc
}

// New returns an empty Set. Pod are the pod's addresses.
func New(ctx context.Context, pod []netip.Addr, table *capture.Table, opener *relay.Opener, log *slog.Logger) *Set {
	s := &Set{
		ctx: ctx, pod: pod, table: table, opener: opener, log: log,
		changed: make(chan struct{}, 1), ports: map[id]*port{},
	}
	s.drains, s.cutDrains = context.WithCancel(ctx)
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

// Close gives all ports back, waits until their last connections have ended or
// ctx has, and removes the table. TCP connections that the laptop has may come
// to their end too: the pod is going, and its callers must not notice. What is
// left is reset while the kernel still translates: without the table a caller
// would not hear of an end, and wait for ever.
func (s *Set) Close(ctx context.Context) {
	s.mu.Lock()
	s.ending = true
	s.mu.Unlock()
	s.Apply(&rpc.AgentConfig{})
	done := make(chan struct{})
	go func() { s.work.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		s.cutDrains()
		<-done
	}
	s.cutDrains()
	s.table.Close()
}
