// Package sidecar holds the ports of an agent that its pod was made with. It
// needs no privilege. Where it has taken over a port's name callers always come
// here, and what is not intercepted is joined with the application. Where
// callers know the number, the rules that Redirect wrote in an init container
// lead TCP here only while the agent knocks, so nothing is between callers and
// application otherwise, or when the agent is gone.
package sidecar

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/capture"
	"github.com/kubectl-intercept/kubectl-intercept/agent/relay"
	"github.com/kubectl-intercept/kubectl-intercept/agent/tcp"
	"github.com/kubectl-intercept/kubectl-intercept/agent/udp"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

const (
	proofTime  = 5 * time.Second // until a redirect without proof has failed
	retryPause = 5 * time.Second
	// lastCallers is how long callers may still come after the pod was asked to
	// end: not everybody has heard of it.
	lastCallers = 3 * time.Second
)

// server takes the connections of one port.
type server interface {
	Book() *capture.ProbeBook
	// Route leads to the laptop; nil, to the application.
	Route(*relay.Route, *relay.Counters)
	Close(ctx context.Context)
}

// port is one port of the application. Set.mu guards what is below route.
type port struct {
	rpc.SidecarPort
	server server
	proven context.Context // ends with the present intercept
	cancel context.CancelFunc

	route    *relay.Route // nil: not intercepted
	counters *relay.Counters
	state    rpc.PortState
	message  string
}

// Set is the ports. Its methods may be called concurrently.
type Set struct {
	ctx     context.Context
	pod     []netip.Addr
	opener  *relay.Opener
	log     *slog.Logger
	changed chan struct{}
	ports   []*port

	mu         sync.Mutex
	generation uint64
}

// Listen takes the ports. Pod are the pod's addresses. One that cannot be listened on
// is an error, since callers are led there.
func Listen(ctx context.Context, pod []netip.Addr, s *rpc.Sidecar, opener *relay.Opener, log *slog.Logger) (*Set, error) {
	set := &Set{ctx: ctx, pod: pod, opener: opener, log: log, changed: make(chan struct{}, 1)}
	for _, sp := range s.Ports {
		p := &port{SidecarPort: sp, cancel: func() {}}
		var err error
		if sp.Protocol == "UDP" {
			p.server, err = wrap(udp.ListenSidecar(ctx, sp.Number, sp.Agent, pod, opener, log))
		} else {
			p.server, err = wrap(tcp.Listen(ctx, way(sp, pod), opener, log))
		}
		if err != nil {
			return nil, fmt.Errorf("stand in front of port %s: %w", sp, err)
		}
		set.ports = append(set.ports, p)
	}
	return set, nil
}

// wrap keeps a failed constructor's nil from becoming a non-nil interface.
func wrap[T server](v T, err error) (server, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Apply leads the ports of cfg to the laptop and all others to the application.
func (s *Set) Apply(cfg *rpc.AgentConfig) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation = cfg.Generation
	var routes []*relay.Route
	for _, p := range s.ports {
		var want *rpc.CapturePort
		for _, c := range cfg.Ports {
			if c.Port == uint32(p.Number) && c.Protocol.String() == p.Protocol && len(c.Routes) > 0 {
				want = c
			}
		}
		if s.lead(p, want); p.route != nil {
			routes = append(routes, p.route)
		}
	}
	s.opener.Keep(routes)
	s.signal()
}

// lead sets where one port goes; the caller holds s.mu.
func (s *Set) lead(p *port, c *rpc.CapturePort) {
	if c == nil {
		if p.route != nil {
			s.log.Info("giving back", "port", p.SidecarPort.String())
			p.cancel()
			p.route = nil
			p.server.Route(nil, &relay.Counters{})
		}
		return
	}
	r := relay.RouteOf(c)
	begins := p.route == nil
	if begins || p.route.UID != r.UID {
		p.counters = &relay.Counters{}
	}
	p.route = r
	p.server.Route(r, p.counters)
	if !begins {
		return
	}
	p.proven, p.cancel = context.WithCancel(s.ctx)
	if l, ok := p.server.(*tcp.Listener); ok {
		if p.Redirect {
			go s.knock(p.proven, p, !c.KeepEstablished)
		}
		if !c.KeepEstablished {
			l.EndApplication()
		}
	}
	p.state, p.message = rpc.PortState_REDIRECTED, ""
	if !p.Redirect {
		p.state = rpc.PortState_VERIFIED // it has the name that callers go by, or the mesh leads here
		return
	}
	go s.prove(p.proven, p)
}

// knock keeps the init container's redirect in force while a port is
// intercepted: otherwise its traffic does not come by here.
func (s *Set) knock(ctx context.Context, p *port, strict bool) {
	for ctx.Err() == nil {
		if err := capture.Knock(ctx, p.Agent, strict); err != nil {
			s.log.Error("the redirect is not in force", "port", p.SidecarPort.String(), "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(retryPause):
			}
		}
	}
}

// prove shows that the init container's redirect leads here. After a failure it
// goes on trying.
func (s *Set) prove(ctx context.Context, p *port) {
	c := capture.Port{Number: p.Number, Protocol: protocol(p.SidecarPort), Agent: p.Agent}
	for ctx.Err() == nil {
		err := proveOnce(ctx, c, s.pod, p.server.Book())
		if ctx.Err() != nil {
			return
		}
		s.mu.Lock()
		p.state, p.message = rpc.PortState_VERIFIED, ""
		if err != nil {
			p.state, p.message = rpc.PortState_FAILED, err.Error()
		}
		s.mu.Unlock()
		s.signal()
		if err == nil {
			return
		}
		s.log.Error("redirect is not proven", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(retryPause):
		}
	}
}

func proveOnce(ctx context.Context, c capture.Port, addrs []netip.Addr, book *capture.ProbeBook) error {
	ctx, cancel := context.WithTimeout(ctx, proofTime)
	defer cancel()
	return capture.ProveUnprivileged(ctx, c, addrs, book)
}

func protocol(p rpc.SidecarPort) capture.Protocol {
	if p.Protocol == "UDP" {
		return capture.UDP
	}
	return capture.TCP
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
	r := &rpc.AgentReport{Generation: s.generation, Sidecar: true}
	for _, p := range s.ports {
		if p.route == nil {
			continue
		}
		report := &rpc.RouteReport{
			Port: uint32(p.Number), Protocol: rpc.Protocol(rpc.Protocol_value[p.Protocol]), InterceptUid: p.route.UID,
			State: p.state, Message: p.message,
		}
		p.counters.Report(report)
		r.Routes = append(r.Routes, report)
	}
	return r
}

// Close gives all ports back and serves on until the last callers have come and
// their connections have ended, or ctx has.
func (s *Set) Close(ctx context.Context) {
	t := time.NewTimer(lastCallers)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	var wg sync.WaitGroup
	for _, p := range s.ports {
		wg.Go(func() {
			if l, ok := p.server.(*udp.Listener); ok {
				l.Leave()
			}
			p.server.Close(ctx)
		})
	}
	wg.Wait()
}
