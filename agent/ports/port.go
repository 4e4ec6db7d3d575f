package ports

import (
	"context"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/capture"
	"github.com/kubectl-intercept/kubectl-intercept/agent/probe"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

type id struct {
	number   uint16
	protocol capture.Protocol
}

func idOf(c *rpc.CapturePort) id {
	i := id{uint16(c.Port), capture.TCP}
	if c.Protocol == rpc.Protocol_UDP {
		i.protocol = capture.UDP
	}
	return i
}

// port is one captured port. Set.mu guards it.
type port struct {
	id
	wanted   *rpc.CapturePort
	listener Listener // nil: it could not be made yet
	open     bool     // the entrance brings callers here
	state    rpc.PortState
	message  string
	ctx      context.Context // ends when the port is given back
	cancel   context.CancelFunc
	// resetNodes is when connections from the node are reset that were open before; zero
	// while others are not reset either.
	resetNodes time.Time
}

func (s *Set) newPort(i id) *port {
	p := &port{id: i}
	p.ctx, p.cancel = context.WithCancel(s.ctx)
	return p
}

func (p *port) capture() capture.Port {
	c := capture.Port{Number: p.number, Protocol: p.protocol, Agent: p.listener.Agent(), KeepEstablished: p.wanted.KeepEstablished}
	switch {
	case p.wanted.KeepEstablished:
		p.resetNodes = time.Time{}
	case p.resetNodes.IsZero():
		p.resetNodes = time.Now()
		if len(p.wanted.Probes) > 0 {
			p.resetNodes = p.resetNodes.Add(probeTime)
		}
	}
	if len(p.wanted.Probes) > 0 {
		c.Nodes = probe.Nodes(p.wanted.NodeAddresses)
	}
	c.ResetNodes = p.resetNodes
	return c
}

func (p *port) fail(err error) {
	p.state, p.message = rpc.PortState_FAILED, err.Error()
}

// report has one entry for each route of the port.
func (p *port) report() []*rpc.RouteReport {
	var list []*rpc.RouteReport
	for _, route := range p.wanted.Routes {
		r := &rpc.RouteReport{Port: p.wanted.Port, Protocol: p.wanted.Protocol, InterceptUid: route.InterceptUid,
			State: p.state, Message: p.message}
		if p.listener != nil {
			p.listener.Report(r)
		}
		list = append(list, r)
	}
	return list
}

// opened begins the check of a port that the entrance has just opened; the caller
// holds s.mu.
func (s *Set) opened(p *port) {
	p.open, p.state, p.message = true, rpc.PortState_REDIRECTED, ""
	check := s.entrance.Check(p.capture())
	if check == nil {
		p.state = rpc.PortState_VERIFIED
		return
	}
	s.drain.work.Go(func() { s.checkRedirect(p, check, p.listener.Book()) })
}

// checkRedirect checks that callers of a port come here. After a failure it goes on trying:
// the pod's network may not be complete yet.
func (s *Set) checkRedirect(p *port, check func(context.Context, *capture.ProofBook) error, book *capture.ProofBook) {
	for {
		ctx, cancel := context.WithTimeout(p.ctx, checkTime)
		err := check(ctx, book)
		cancel()
		if p.ctx.Err() != nil {
			return
		}
		s.mu.Lock()
		if err == nil {
			p.state, p.message = rpc.PortState_VERIFIED, ""
		} else {
			p.fail(err)
		}
		s.mu.Unlock()
		s.signal()
		if err == nil {
			s.log.Info("captured", "port", p.number, "protocol", p.protocol.String())
			return
		}
		s.log.Error("redirect does not work", "error", err)
		select {
		case <-p.ctx.Done():
			return
		case <-time.After(retryPause):
		}
	}
}
