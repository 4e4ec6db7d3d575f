// Package standin has sessions' flows served in the pod: for each intercept whose laptop
// stands in for the pod, it holds lines ready to the laptop's session, which opens flows on
// them.
package standin

import (
	"context"
	"log/slog"
	"sync"

	"github.com/kubectl-intercept/kubectl-intercept/agent/relay"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/line"
)

// Set is the intercepts whose laptops stand in for the pod. It is safe for concurrent use.
type Set struct {
	ctx       context.Context
	container string
	dial      dial
	serve     func(excluded []string) tunnel.Handler
	log       *slog.Logger
	pause     pauser

	mu         sync.Mutex
	generation uint64
	pauses     []*rpc.Pause
	excluded   []string
	keepers    map[upstream]context.CancelFunc
}

// upstream is a session that lines lead to, and the relay that they lead through.
type upstream struct {
	relay string
	line  handshake.LineRequest
}

// pauser stops the container, as pause.Pauser does.
type pauser interface {
	Begin()
	End()
	State() (rpc.PortState, string)
	Changed() <-chan struct{}
}

// dial makes one line.
type dial func(context.Context, upstream) (*line.Conn, error)

// New returns an empty Set, whose work ends with ctx. Container is the one that the agent
// reads, for reports; serve returns the handler of the flows, which never sends the value
// of an excluded variable; pause stops the container.
func New(ctx context.Context, id relay.Identity, container string, serve func(excluded []string) tunnel.Handler, pause pauser, log *slog.Logger) *Set {
	return newSet(ctx, container, serve, pause, log, func(ctx context.Context, u upstream) (*line.Conn, error) {
		return line.Dial(ctx, u.relay, id.TLS(handshake.ALPNLine), &u.line)
	})
}

func newSet(ctx context.Context, container string, serve func([]string) tunnel.Handler, pause pauser, log *slog.Logger, d dial) *Set {
	return &Set{ctx: ctx, container: container, serve: serve, pause: pause, log: log, dial: d, keepers: map[upstream]context.CancelFunc{}}
}

// Apply holds lines for the stand-ins of cfg and for no others. The flows of others end. The
// container is stopped as long as cfg has a pause, and goes on when Apply returns if it has
// none.
func (s *Set) Apply(cfg *rpc.AgentConfig) {
	wanted := map[upstream]bool{}
	for _, w := range cfg.StandIns {
		for _, addr := range w.Relays {
			wanted[upstream{addr, handshake.LineRequest{Session: w.Session, Intercept: w.Intercept, InterceptUID: w.InterceptUid, FromSession: true}}] = true
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation, s.excluded, s.pauses = cfg.Generation, cfg.ExcludedVariables, cfg.Pauses
	if len(s.pauses) > 0 {
		s.pause.Begin()
	} else {
		s.pause.End()
	}
	for u, stop := range s.keepers {
		if !wanted[u] {
			stop()
			delete(s.keepers, u)
		}
	}
	for u := range wanted {
		if s.keepers[u] == nil {
			ctx, stop := context.WithCancel(s.ctx)
			s.keepers[u] = stop
			k := &keeper{upstream: u, dial: s.dial, handler: s.handle, log: s.log.With("session", u.line.Session, "intercept", u.line.Intercept)}
			go k.run(ctx)
		}
	}
}

// handle is the handler of all flows, by the present configuration.
func (s *Set) handle(ctx context.Context, o *frame.Open, in tunnel.Incoming) error {
	s.mu.Lock()
	serve := s.serve(s.excluded)
	s.mu.Unlock()
	return serve(ctx, o, in)
}

// Report tells the manager which container the agent reads, and whether it is stopped.
func (s *Set) Report() *rpc.AgentReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &rpc.AgentReport{Generation: s.generation, Container: s.container}
	for _, p := range s.pauses {
		state, message := s.pause.State()
		r.Pauses = append(r.Pauses, &rpc.PauseReport{InterceptUid: p.InterceptUid, State: state, Message: message})
	}
	return r
}

// Changed receives after the container stopped, or could not be stopped.
func (s *Set) Changed() <-chan struct{} { return s.pause.Changed() }
