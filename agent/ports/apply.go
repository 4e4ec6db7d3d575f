package ports

import (
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/kubectl-intercept/kubectl-intercept/agent/capture"
	"github.com/kubectl-intercept/kubectl-intercept/agent/relay"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// Apply makes the ports those of cfg. When it returns, callers are brought here or
// the ports' states say why not; proofs follow.
func (s *Set) Apply(cfg *rpc.AgentConfig) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = cfg
	wanted := map[id]*rpc.CapturePort{}
	var owners []relay.Owner
	for _, c := range cfg.Ports {
		if c.Port == 0 || c.Port > 65535 || len(c.Routes) == 0 {
			s.log.Error("ignoring a port that the manager sent wrongly", "port", c.Port)
			continue
		}
		wanted[idOf(c)] = c
		for _, r := range c.Routes {
			owners = append(owners, relay.OwnerOf(r))
		}
	}
	for i, p := range s.ports {
		if wanted[i] == nil && !s.notices(p) {
			s.log.Info("giving back", "port", p.number, "protocol", p.protocol.String())
			p.cancel()
			s.leaving = append(s.leaving, p)
			delete(s.ports, i)
		}
	}
	for i, c := range wanted {
		s.want(i, c)
	}
	s.keeper.Keep(owners)
	s.open()
	s.signal()
}

// notices says that a port without routes stays, since callers are still told of routes
// that are gone. It sees to the end of that.
func (s *Set) notices(p *port) bool {
	noticing := len(p.wanted.Routes) == 0 || slices.ContainsFunc(p.wanted.Routes, func(r *rpc.Route) bool { return r.NoticeSeconds > 0 })
	if p.listener == nil || s.ending || !noticing {
		return false
	}
	without := proto.CloneOf(p.wanted)
	without.Routes = nil
	left := time.Until(p.listener.Route(without))
	if left <= 0 {
		return false
	}
	p.wanted = without
	last := s.last
	time.AfterFunc(left, func() { s.again(last) })
	return true
}

// want readies one port and its routes, without bringing callers here.
func (s *Set) want(i id, c *rpc.CapturePort) {
	p := s.ports[i]
	if p == nil {
		p = s.newPort(i)
		s.ports[i] = p
	}
	p.wanted = c
	if p.listener == nil {
		var err error
		if p.listener, err = s.entrance.Listen(i.number, i.protocol); err != nil {
			p.listener = nil
			p.fail(err)
			return
		}
	}
	p.listener.Route(c)
}

// open brings the callers of the ports here, then starts what must follow.
func (s *Set) open() {
	var ports []capture.Port
	failed := false
	for _, p := range s.list() {
		if p.listener == nil {
			failed = true
			continue
		}
		ports = append(ports, p.capture())
	}
	err := s.entrance.Open(ports)
	if err != nil {
		s.log.Error("cannot bring callers here", "error", err)
	}
	for _, p := range s.ports {
		switch {
		case p.listener == nil || p.open:
		case err != nil:
			p.fail(err)
		default:
			s.opened(p)
		}
	}
	for _, p := range s.leaving {
		stays := s.ending && err == nil && p.protocol == capture.TCP
		if p.listener != nil && !stays {
			p.listener.Leave() // to the application, even if callers still come here
		}
	}
	if err == nil {
		s.startDraining()
	}
	if err != nil || failed {
		last := s.last
		time.AfterFunc(retryPause, func() { s.again(last) })
	}
}

// again repeats an Apply that failed in part, unless another one came meanwhile.
func (s *Set) again(cfg *rpc.AgentConfig) {
	s.mu.Lock()
	current := s.last == cfg && s.ctx.Err() == nil
	s.mu.Unlock()
	if current {
		s.Apply(cfg)
	}
}
