package sidecar

import (
	"errors"
	"fmt"

	"github.com/kubectl-intercept/kubectl-intercept/agent/capture"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// FromEnvironment reads what the injector wrote into the pod.
func FromEnvironment(getenv func(string) string) (*rpc.Sidecar, error) {
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

// Redirect sets the rules for the ports that callers know by number, for as long
// as the pod lives. It needs NET_ADMIN.
func Redirect(s *rpc.Sidecar) error {
	var ports []capture.Port
	for _, p := range s.Ports {
		if p.Redirect {
			ports = append(ports, capture.Port{Number: p.Number, Protocol: protocol(p), Agent: p.Agent})
		}
	}
	return capture.Install(ports, uint32(s.UID))
}
