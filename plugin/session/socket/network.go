package socket

import (
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/device"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// Network is how programs on the laptop reach the cluster.
type Network struct {
	// Proxy is the address of the SOCKS5 and HTTP proxy that was asked for, or of
	// the latest; "" if there is none. Namespace is that of names without one, to
	// it. Proxies are all that there are.
	Proxy     string  `json:"proxy,omitempty"`
	Namespace string  `json:"namespace,omitempty"`
	Proxies   []Proxy `json:"proxies,omitempty"`
	// Device is the laptop's TUN, Isolated are those of single programs.
	Device   *device.Status  `json:"device,omitempty"`
	Isolated []device.Status `json:"isolated,omitempty"`
	// Missing says why Device is not there although it was asked for.
	Missing string `json:"missing,omitempty"`
	// Replaced says, in an answer, what there was before in its place.
	Replaced string `json:"replaced,omitempty"`
}

// Proxy is a proxy that is open.
type Proxy struct {
	state.Proxy
	// Pod is that of device.Leaves.
	Pod string `json:"pod,omitempty"`
}

// Leaves says where its connections leave from.
func (p *Proxy) Leaves() device.Leaves { return device.Leaves{Via: p.Via, Pod: p.Pod} }

// Online says that programs of this machine at large have, or shall have, access.
func (n *Network) Online() bool {
	return n != nil && (len(n.Proxies) > 0 || n.Device != nil || n.Missing != "")
}

// Returning is Network.Missing while a process has only just begun to bring back what
// its predecessor had.
const Returning = "the session is only just connecting"
