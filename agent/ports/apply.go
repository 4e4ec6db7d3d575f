package ports

import (
	"slices"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/app"
	"github.com/kubectl-intercept/kubectl-intercept/agent/capture"
	"github.com/kubectl-intercept/kubectl-intercept/agent/relay"
	"github.com/kubectl-intercept/kubectl-intercept/agent/tcp"
	"github.com/kubectl-intercept/kubectl-intercept/agent/udp"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// Apply makes the ports those of cfg. When it returns, the rules are set or the
// ports' states say why not; proofs follow.
func (s *Set) Apply(cfg *rpc.AgentConfig) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation, s.last = cfg.Generation, cfg
	wanted := map[id]*rpc.CapturePort{}
	for _, c := range cfg.Ports {
		if c.Port == 0 || c.Port > 65535 || len(c.Routes) == 0 {
			s.log.Error("ignoring a port that the manager sent wrongly", "port", c.Port)
			continue
		}
		wanted[idOf(c)] = c
	}
	for i, p := range s.ports {
		if wanted[i] == nil {
			s.log.Info("giving back", "port", p.number, "protocol", p.protocol.String())
			p.cancel()
			s.leaving = append(s.leaving, p)
			delete(s.ports, i)
		}
	}
	var routes []*relay.Route
	for i, c := range wanted {
		s.want(i, c)
		routes = append(routes, s.ports[i].route)
	}
	s.opener.Keep(routes)
	s.enforce()
	s.signal()
}

func idOf(c *rpc.CapturePort) id {
	i := id{uint16(c.Port), capture.TCP}
	if c.Protocol == rpc.Protocol_UDP {
		i.protocol = capture.UDP
	}
	return i
}

// want readies one port and its route, up to the rules.
func (s *Set) want(i id, c *rpc.CapturePort) {
	p, r := s.ports[i], relay.RouteOf(c)
	if p == nil {
		p = s.newPort(i)
		s.ports[i] = p
	}
	if p.counters == nil || p.route.UID != r.UID {
		p.counters = &relay.Counters{}
	}
	p.keep, p.route = c.KeepEstablished, r
	if p.server == nil {
		var err error
		if p.server, err = s.listen(p); err != nil {
			p.fail(err)
			return
		}
	}
	p.server.Route(p.route, p.counters)
}

func (s *Set) listen(p *port) (server, error) {
	if p.protocol == capture.UDP {
		return wrap(udp.Listen(s.ctx, p.number, s.pod, s.opener, s.log))
	}
	cfg := tcp.Config{Port: p.number, Dialled: capture.Dialled(p.number), Dial: app.DialTCP, Settle: settle}
	return wrap(tcp.Listen(s.ctx, cfg, s.opener, s.log))
}

// wrap keeps a failed constructor's nil from becoming a non-nil interface.
func wrap[T server](v T, err error) (server, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}

// enforce sets the rules, then starts what must follow them.
func (s *Set) enforce() {
	var rules []capture.Port
	for _, p := range s.ports {
		if p.server != nil {
			rules = append(rules, p.capture())
		}
	}
	slices.SortFunc(rules, func(a, b capture.Port) int { return int(a.Number) - int(b.Number) })
	err := s.table.Set(rules)
	if err != nil {
		s.log.Error("cannot set rules", "error", err)
	}
	for _, p := range s.ports {
		switch {
		case p.server == nil || p.inForce:
		case err != nil:
			p.fail(err)
		default:
			s.begin(p)
		}
	}
	for _, p := range s.leaving {
		stays := s.ending && err == nil && p.protocol == capture.TCP
		if p.server != nil && !stays {
			p.server.Leave() // the application, whether the rules went or not
		}
	}
	if err == nil {
		s.drain()
	}
	if err != nil || slices.ContainsFunc(s.list(), func(p *port) bool { return p.server == nil }) {
		last := s.last
		time.AfterFunc(retryPause, func() { s.again(last) })
	}
}

// again repeats an Apply that failed in part, unless another came meanwhile.
func (s *Set) again(cfg *rpc.AgentConfig) {
	s.mu.Lock()
	current := s.last == cfg && s.ctx.Err() == nil
	s.mu.Unlock()
	if current {
		s.Apply(cfg)
	}
}

// drain lets the ports whose rules are gone come to their end.
func (s *Set) drain() {
	for _, p := range s.leaving {
		if p.server == nil {
			continue
		}
		s.forget(p.capture())
		s.draining++
		s.work.Go(func() {
			p.server.Close(s.drains)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.draining--
			s.dropIfIdle()
		})
	}
	s.leaving = nil
	s.dropIfIdle()
}

// dropIfIdle removes the table once nothing needs it: not before the last
// redirected connection has ended, for it would break.
func (s *Set) dropIfIdle() {
	if len(s.ports) > 0 || s.draining > 0 {
		return
	}
	if err := s.table.Drop(); err != nil {
		s.log.Error("cannot remove the rules", "error", err)
	}
}
