package entrance

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/capture"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// knockRetry is the pause after knocking has failed.
const knockRetry = 5 * time.Second

// Layout reads what the injector wrote into the pod.
func Layout(getenv func(string) string) (*rpc.Sidecar, error) {
	text := getenv("AGENT_SIDECAR")
	if text == "" {
		return nil, errors.New("AGENT_SIDECAR is not set")
	}
	s, err := rpc.ParseSidecar(text)
	if err != nil {
		return nil, fmt.Errorf("AGENT_SIDECAR: %w", err)
	}
	return s, nil
}

// Redirect writes the rules for the ports that callers know by number. They stay
// for as long as the pod lives. Nodes are addresses of the pod's node. It needs NET_ADMIN.
func Redirect(layout *rpc.Sidecar, nodes []netip.Addr) error {
	var list []capture.Port
	for _, p := range layout.Ports {
		if p.Redirect {
			list = append(list, capture.Port{Number: p.Number, Protocol: protocol(p), Agent: p.Agent, Nodes: nodes})
		}
	}
	return capture.Install(list, uint32(layout.UID))
}

// knock keeps the rules of Redirect in force for a port until ctx ends, and resets the
// connections from before that are to be reset.
func (s *Sidecar) knock(ctx context.Context, p rpc.SidecarPort, wanted capture.Port) {
	for ctx.Err() == nil {
		if err := capture.Knock(ctx, p.Agent, wanted); err != nil {
			s.log.Error("the redirect is not in force", "port", p.String(), "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(knockRetry):
			}
		}
	}
}
