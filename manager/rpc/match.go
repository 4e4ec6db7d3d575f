package rpc

import (
	"fmt"

	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
)

// OlderAgent is the message of a route that the agent cannot follow.
const OlderAgent = "this agent does not know what the intercept asks for: it is older than the traffic-manager"

// MatchOf is the message that carries the conditions to an agent. The numbers of parts and
// ops are the same on both sides.
func MatchOf(conditions match.Conditions) *Match {
	m := &Match{}
	for _, c := range conditions {
		m.Conditions = append(m.Conditions, &Condition{Part: Condition_Part(c.Part), Name: c.Name, Op: Condition_Op(c.Op), Value: c.Value})
	}
	return m
}

// Read returns the conditions. The error says that a newer traffic-manager has sent them
// than this agent understands.
func (m *Match) Read() (match.Conditions, error) {
	var all match.Conditions
	for _, c := range m.GetConditions() {
		const unknown = 255 // no part and no op
		part, op := min(uint32(c.Part), unknown), min(uint32(c.Op), unknown)
		all = append(all, match.Condition{Part: match.Part(part), Name: c.Name, Op: match.Op(op), Value: c.Value})
	}
	if err := all.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", OlderAgent, err)
	}
	return all, nil
}
