package socket

import (
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/local"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/mounts"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound"
)

// Status is what a session process says about itself. Its many fields are those of status -o
// json.
type Status struct {
	Version          string `json:"version"`
	Build            string `json:"build"`
	User             string `json:"user"`
	Context          string `json:"context"`
	Server           string `json:"server"`
	Namespace        string `json:"namespace"`
	ManagerNamespace string `json:"managerNamespace"`
	ManagerVersion   string `json:"managerVersion"`
	Session          string `json:"session"`
	PID              int    `json:"pid"`
	Transport        string `json:"transport"`
	// NotDirect says why the traffic-manager is not reached directly; empty if it is, or if
	// the cluster offers no such way.
	NotDirect string        `json:"notDirect,omitempty"`
	Relay     string        `json:"relay"`
	Connected bool          `json:"connected"`
	Carriers  int           `json:"carriers"`
	Lines     int           `json:"lines"`
	RTT       time.Duration `json:"rtt,omitempty"`
	LogFile   string        `json:"logFile"`
	LastError string        `json:"lastError,omitempty"`
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
	// Volumes are those of intercepts' containers, by the intercept's "namespace/name".
	Volumes map[string]Volumes `json:"volumes,omitempty"`
	// Denied are the targets that programs dialed and the user may not reach, the
	// latest first.
	Denied []Denial `json:"denied,omitempty"`
}

// Denial is a target that the session's user may not reach.
type Denial = outbound.Denial

// StatusIntercept is an intercept as the session sees it.
type StatusIntercept = local.Intercept

// Volumes are the volumes of an intercept's container on this machine.
type Volumes = mounts.Volumes

// Headers are headers of requests that an intercept did not take.
type Headers = local.Headers

// StatusPort counts what went through one local port.
type StatusPort = local.Port

// Build names the build of this program. Programs of different builds must not share
// a process.
func Build() string { return version.Version + "+" + version.Commit() }
