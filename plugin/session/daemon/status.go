package daemon

import (
	"os"

	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
)

// status is what the socket tells.
func (p *process) status() *socket.Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &socket.Status{Version: version.Version, Build: socket.Build(), User: p.user, Context: p.id.Context, Server: p.source.Config().Host,
		Namespace: p.id.Namespace, ManagerNamespace: p.id.ManagerNamespace, PID: os.Getpid(), LogFile: p.dir.Log(), Phase: p.phase}
	if p.transport != carrier.Auto {
		s.Transport, s.Forced = p.transport, true
	}
	if p.object != nil {
		s.Session = p.object.Name
	}
	if p.pool != nil {
		c := p.pool.State()
		s.Carriers, s.Connected, s.RTT = c.Carriers, c.Carriers > 0, c.RTT
		if !s.Connected && s.Phase == "" {
			s.Phase = "connecting to the traffic-manager again"
		}
		s.Relay, s.ManagerVersion = c.Relay, c.ManagerVersion
		if c.Transport != "" {
			s.Transport = c.Transport
		}
		if c.Err != nil {
			s.LastError = render.Error(p.explain(c.Err))
		}
	}
	if err := p.source.Trouble(); err != nil {
		s.LastError, s.Rejected = render.Error(err), true
	}
	if p.lines != nil {
		s.Lines = p.lines.Joined()
	}
	s.Network = p.network.status()
	s.Denied = p.denials.List()
	if p.table != nil {
		s.Intercepts = p.table.Status()
	}
	return s
}
