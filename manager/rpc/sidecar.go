package rpc

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Sidecar is what the injector wrote into a pod about the sidecar agent in it.
// It travels as JSON in an annotation of the pod, which the agent reads through
// AGENT_SIDECAR and the manager off the pod.
type Sidecar struct {
	// UID is the user that the agent runs as; the redirect tells the agent's
	// own connections by it.
	UID int64 `json:"uid"`
	// Ports are those that the agent stands in front of.
	Ports []SidecarPort `json:"ports"`
	// OnDemand says that an Intercept wanted the agent, not an annotation.
	OnDemand bool `json:"onDemand,omitempty"`
	// Container and InitContainer are the names of the agent's containers, where
	// the application has the usual ones itself.
	Container     string `json:"container,omitempty"`
	InitContainer string `json:"initContainer,omitempty"`
	// IgnoreMounts are the application's volume mounts that stay in the pod.
	IgnoreMounts []string `json:"ignoreMounts,omitempty"`
}

// SidecarPort is one port of the application.
type SidecarPort struct {
	// Name is the port's name in the pod template, if it has one.
	Name string `json:"name,omitempty"`
	// Number is where the application listens.
	Number uint16 `json:"number"`
	// Protocol is TCP or UDP.
	Protocol string `json:"protocol"`
	// Agent is where the agent listens for it.
	Agent uint16 `json:"agent"`
	// Redirect says that the init container leads Number to Agent, Mesh that the
	// mesh's proxy does while an Intercept wants it. Without either the agent has
	// taken over the port's name.
	Redirect bool `json:"redirect,omitempty"`
	Mesh     bool `json:"mesh,omitempty"`
}

// TakesName says that the agent has the port's name.
func (p SidecarPort) TakesName() bool { return !p.Redirect && !p.Mesh }

// String is the port as "8080/TCP".
func (p SidecarPort) String() string { return fmt.Sprintf("%d/%s", p.Number, p.Protocol) }

// ParseSidecar reads the JSON of a Sidecar and checks that its ports are ports,
// each one once.
func ParseSidecar(text string) (*Sidecar, error) {
	var s Sidecar
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return nil, fmt.Errorf("parse sidecar: %w", err)
	}
	if s.UID <= 0 || len(s.Ports) == 0 {
		return nil, errors.New("parse sidecar: uid or ports are missing")
	}
	seen := map[string]bool{}
	for _, p := range s.Ports {
		if p.Number == 0 || p.Agent == 0 || p.Protocol != "TCP" && p.Protocol != "UDP" {
			return nil, fmt.Errorf("parse sidecar: port %s to %d is none", p, p.Agent)
		}
		agent := fmt.Sprintf("agent %d/%s", p.Agent, p.Protocol)
		if seen[p.String()] || seen[agent] {
			return nil, fmt.Errorf("parse sidecar: port %s to %d is there twice", p, p.Agent)
		}
		seen[p.String()], seen[agent] = true, true
	}
	return &s, nil
}
