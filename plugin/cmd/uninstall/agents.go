package uninstall

import (
	"context"
	"fmt"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/uninstall/agent"
)

// agentsTimeout is how long agents may take to leave; pods that a
// PodDisruptionBudget protects may take for ever.
const agentsTimeout = time.Minute

// removeAgents has the traffic-manager take every agent out of its pod while
// there is one. Those that stay do no harm: they are idle, and clean names
// them.
func (o *Options) removeAgents(ctx context.Context, s *scope) error {
	namespaces := s.namespaces
	if namespaces == nil {
		namespaces = []string{""}
	}
	for _, ns := range namespaces {
		a := agent.Options{IOStreams: o.IOStreams, Namespace: ns, Serves: s.has, Step: true, Wait: o.Wait, Timeout: min(o.Timeout, agentsTimeout),
			Interval: o.Interval, Client: o.Client, Now: o.Now}
		a.Out = o.ErrOut
		if err := a.Run(ctx); ctx.Err() != nil {
			return fmt.Errorf("interrupted; agents leave, the traffic-manager stays; to go on, run %s", o.Releases.Command("uninstall"))
		} else if err != nil {
			fmt.Fprintf(o.ErrOut, "Warning: %v\n", err)
		}
	}
	return nil
}
