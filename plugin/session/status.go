package session

import (
	"os"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/local"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound"
)

// Status is what a session process says of itself.
type Status struct {
	Version          string        `json:"version"`
	Build            string        `json:"build"`
	User             string        `json:"user"`
	Context          string        `json:"context"`
	Server           string        `json:"server"`
	Namespace        string        `json:"namespace"`
	ManagerNamespace string        `json:"managerNamespace"`
	ManagerVersion   string        `json:"managerVersion"`
	Session          string        `json:"session"`
	PID              int           `json:"pid"`
	Transport        string        `json:"transport"`
	Relay            string        `json:"relay"`
	Connected        bool          `json:"connected"`
	Carriers         int           `json:"carriers"`
	Lines            int           `json:"lines"`
	RTT              time.Duration `json:"rtt,omitempty"`
	LogFile          string        `json:"logFile"`
	LastError        string        `json:"lastError,omitempty"`
	// Rejected says that the API server does not accept the credentials, or shows
	// a certificate that does not hold; LastError is that then.
	Rejected bool `json:"rejected,omitempty"`
	// Forced says that Transport was asked for and is the only one tried.
	Forced bool `json:"forced,omitempty"`
	// Phase is what the process is doing until it is connected.
	Phase string `json:"phase,omitempty"`

	// Network is how programs on this machine reach the cluster; nil: not at all.
	Network    *Network          `json:"network,omitempty"`
	Intercepts []StatusIntercept `json:"intercepts,omitempty"`
	// Denied is what programs dialled and the user may not reach, the latest
	// first.
	Denied []Denial `json:"denied,omitempty"`
}

// Denial is a target that the session's user may not reach.
type Denial = outbound.Denial

// StatusIntercept is an intercept as the session sees it.
type StatusIntercept = local.Intercept

// StatusPort counts what went through one local port.
type StatusPort = local.Port

// status is what the socket tells.
func (p *process) status() *Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &Status{Version: version.Version, Build: build(), User: p.user, Context: p.id.Context, Server: p.source.Config().Host,
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
