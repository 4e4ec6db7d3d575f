package ports

import (
	"context"
	"slices"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/capture"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

func (s *Set) newPort(i id) *port {
	p := &port{id: i}
	p.ctx, p.cancel = context.WithCancel(s.ctx)
	return p
}

func (p *port) fail(err error) {
	p.state, p.message = rpc.PortState_FAILED, err.Error()
}

// begin follows the rules of a port that were just set.
func (s *Set) begin(p *port) {
	p.inForce, p.state, p.message = true, rpc.PortState_REDIRECTED, ""
	c, ctx := p.capture(), p.ctx
	if p.protocol == capture.UDP || !p.keep {
		s.forget(c)
	}
	if p.protocol == capture.UDP {
		// An answer that the application was about to give has made conntrack
		// take the caller for the one who answers: once more.
		time.AfterFunc(forgetAgain, func() {
			if ctx.Err() == nil {
				s.forget(c)
			}
		})
	}
	s.work.Go(func() { s.prove(ctx, p, c) })
}

func (s *Set) forget(c capture.Port) {
	if err := s.table.Forget(c); err != nil {
		s.log.Warn("connections from before may keep their way", "error", err)
	}
}

// prove shows that the redirect works. After a failure it goes on trying: the
// pod's network may just be in the making.
func (s *Set) prove(ctx context.Context, p *port, c capture.Port) {
	for {
		err := s.proveOnce(ctx, p, c)
		if ctx.Err() != nil {
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
		s.log.Error("redirect is not proven", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryPause):
		}
	}
}

func (s *Set) proveOnce(ctx context.Context, p *port, c capture.Port) error {
	ctx, cancel := context.WithTimeout(ctx, proofTime)
	defer cancel()
	return capture.Prove(ctx, c, s.pod, p.server.Book())
}

func (s *Set) list() []*port {
	var list []*port
	for _, p := range s.ports {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *port) int {
		if d := int(a.number) - int(b.number); d != 0 {
			return d
		}
		return int(a.protocol) - int(b.protocol)
	})
	return list
}

// Report says what came of the last Apply, and the counters.
func (s *Set) Report() *rpc.AgentReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &rpc.AgentReport{Generation: s.generation}
	for _, p := range s.list() {
		protocol := rpc.Protocol_TCP
		if p.protocol == capture.UDP {
			protocol = rpc.Protocol_UDP
		}
		report := &rpc.RouteReport{
			Port: uint32(p.number), Protocol: protocol, InterceptUid: p.route.UID,
			State: p.state, Message: p.message,
		}
		p.counters.Report(report)
		r.Routes = append(r.Routes, report)
	}
	return r
}
