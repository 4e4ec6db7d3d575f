package sidecar

import (
	"net"
	"net/netip"
	"slices"

	"github.com/kubectl-intercept/kubectl-intercept/agent/app"
	"github.com/kubectl-intercept/kubectl-intercept/agent/capture"
	"github.com/kubectl-intercept/kubectl-intercept/agent/tcp"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// way is how callers of a TCP port come to the agent, and the agent to the
// application.
func way(p rpc.SidecarPort, pod []netip.Addr) tcp.Config {
	cfg := tcp.Config{Port: p.Number, At: p.Agent, Dial: app.DialTCPPlain}
	if p.Redirect {
		cfg.Dialled = capture.Dialled(p.Number)
		return cfg
	}
	// Who comes by the port's name meant the application at the same address. A
	// mesh's proxy calls the agent at the loopback address where it would have
	// called the application at the pod's.
	cfg.Dialled = func(c *net.TCPConn) (netip.AddrPort, bool) {
		to := c.LocalAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
		same := func(a netip.Addr) bool { return a.Is4() == to.Is4() }
		if k := slices.IndexFunc(pod, same); k >= 0 && p.Mesh {
			to = pod[k]
		}
		return netip.AddrPortFrom(to, p.Number), true
	}
	return cfg
}
