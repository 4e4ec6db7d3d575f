package control

import (
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// aloneAfter is how long an agent keeps a container stopped without a stream to the manager.
// A replica that is restarted is back before that.
const aloneAfter = 10 * time.Second

// solitude applies configurations, and lets stopped containers go on when the agent has been
// without a manager for aloneAfter. All else stays as the last configuration says.
type solitude struct {
	ports Ports
	after time.Duration

	mu    sync.Mutex
	last  *rpc.AgentConfig
	timer *time.Timer // runs while there is no stream; nil: it does not
}

func (s *solitude) apply(cfg *rpc.AgentConfig) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	s.last = cfg
	s.ports.Apply(cfg)
}

// lost says that there is no stream.
func (s *solitude) lost() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer == nil && s.last != nil && stops(s.last) {
		last := s.last
		s.timer = time.AfterFunc(s.after, func() { s.end(last) })
	}
}

// end lets containers go on, unless the manager has sent another configuration meanwhile.
func (s *solitude) end(last *rpc.AgentConfig) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer == nil || s.last != last {
		return
	}
	s.last = withoutStops(last)
	s.ports.Apply(s.last)
}

// stops says that a configuration stops a container, or says that one is stopped.
func stops(c *rpc.AgentConfig) bool {
	for _, p := range c.Ports {
		if p.Stopped != "" {
			return true
		}
	}
	return len(c.Pauses) > 0
}

func withoutStops(c *rpc.AgentConfig) *rpc.AgentConfig {
	c = proto.CloneOf(c)
	c.Pauses = nil
	for _, p := range c.Ports {
		p.Stopped = ""
	}
	return c
}
