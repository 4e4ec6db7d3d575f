package daemon

import (
	"os"

	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
)

// status describes the process for a command that asks for its status.
func (p *process) status() *socket.Status {
	p.mu.Lock()
	object, w := p.object, p.work
	p.mu.Unlock()
	s := &socket.Status{Version: version.Version, Build: socket.Build(), Context: p.id.Context, Server: p.source.Config().Host,
		Namespace: p.id.Namespace, ManagerNamespace: p.id.ManagerNamespace, PID: os.Getpid(), LogFile: p.dir.Log(), Phase: "starting session"}
	if p.transport != carrier.Auto {
		s.Transport, s.Forced = p.transport, true
	}
	if object != nil {
		s.Session, s.User, s.Phase = object.Name, object.Spec.User, "connecting to the traffic-manager"
	}
	if w != nil {
		w.describe(s)
	}
	if err := p.source.Trouble(); err != nil {
		s.LastError, s.Rejected = render.Error(err), true
	}
	return s
}

// describe adds the work to a status.
func (w *work) describe(s *socket.Status) {
	c := w.link.pool.State()
	s.Carriers, s.Connected, s.RTT = c.Carriers, c.Carriers > 0, c.RTT
	switch {
	case w.link.was() && s.Connected:
		s.Phase = ""
	case w.link.was():
		s.Phase = "connecting to the traffic-manager again"
	}
	s.Relay, s.ManagerVersion = c.Relay, c.ManagerVersion
	if c.Transport != "" {
		s.Transport = c.Transport
	}
	if l := w.link.ladder; l != nil && s.Transport != carrier.ViaDirect && l.Problem() != nil {
		s.NotDirect = render.Error(l.Problem())
	}
	if c.Err != nil {
		s.LastError = render.Error(w.explain(c.Err))
	}
	s.Lines = w.link.lines.Assigned()
	s.Network = w.access.Status()
	s.Denied = w.denials.List()
	s.Intercepts = w.table.Status()
	s.Volumes = w.mounts.Status()
}
