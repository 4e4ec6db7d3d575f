// Package egress dials for a laptop from the pod that the laptop stands in for, so that
// others see the pod: its address, its network policies and its identity in a mesh.
//
// A connection of the agent beside a container is like one of the container's. A mesh spares
// its own proxy's user or group, and an agent that captures ports spares its own group (package
// capture, Exempt). This agent has neither: as root it has the group 0, and else the user and
// the group of the container. So a mesh's proxy takes its connections, and strict mTLS and
// authorization policies see the pod's identity. Connections to the traffic-manager's port for
// agents alone pass it by, if the agent may change that (package capture, ExemptPort).
package egress

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/podnames"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/dialed"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// Pod is where an agent finds the files by which its pod resolves names. The kubelet gives
// the same ones to all containers of a pod.
type Pod struct{ Resolv, Hosts string }

// Own is the agent's own pod.
var Own = Pod{Resolv: "/etc/resolv.conf", Hosts: "/etc/hosts"}

// Handle is the tunnel.Handler of flows of the kind Network.
func (p Pod) Handle(ctx context.Context, o *frame.Open, in tunnel.Incoming) error {
	if !o.Supported(frame.Network) {
		return frame.ErrUnsupported
	}
	if o.Target == frame.TargetNames {
		return p.names(in)
	}
	targets, err := p.targets(o)
	if err != nil {
		return err
	}
	return dialed.Connect(ctx, o, in, targets...)
}

// targets are what to dial for a flow, in order.
func (p Pod) targets(o *frame.Open) ([]string, error) {
	port, here := strings.CutPrefix(o.Target, frame.TargetLocalhost)
	switch {
	case o.Target == frame.TargetDNS && o.Protocol != frame.ICMP:
		return p.servers()
	case here && o.Protocol != frame.ICMP:
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, &frame.DeniedError{Reason: fmt.Sprintf("%q is no port", port)}
		}
		return []string{net.JoinHostPort("127.0.0.1", port), net.JoinHostPort("::1", port)}, nil
	}
	to, err := dialed.Target(o)
	return []string{to.String()}, err
}

// servers are the pod's name servers.
func (p Pod) servers() (all []string, err error) {
	n, err := p.read()
	if err != nil {
		return nil, err
	}
	for _, a := range n.Servers {
		all = append(all, netip.AddrPortFrom(a, 53).String())
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: the pod has no name server", frame.ErrUnreachable)
	}
	return all, nil
}

// names answers a flow with the target TargetNames.
func (p Pod) names(in tunnel.Incoming) error {
	n, err := p.read()
	if err != nil {
		return err
	}
	b, err := n.Encode()
	if err != nil {
		return err
	}
	if err := in.Accept(); err != nil {
		return err
	}
	return in.Join(tunnel.Answer(b), nil)
}

// read reads the files, which the kubelet may write anew.
func (p Pod) read() (*podnames.Names, error) {
	resolv, err := os.ReadFile(p.Resolv)
	if err != nil {
		return nil, fmt.Errorf("read the pod's resolv.conf: %w", err)
	}
	hosts, err := os.ReadFile(p.Hosts)
	if err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("read the pod's hosts file: %w", err)
	}
	return podnames.Parse(bytes.TrimSpace(resolv), hosts), nil
}
