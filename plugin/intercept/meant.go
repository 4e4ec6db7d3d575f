package intercept

import (
	"context"
	"fmt"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// sayWhatIsMeant tells of what somebody may not have meant: a port that nobody
// declares, which may be a typing error, and a Service that selects the pods of
// several of all workloads; these are nil where it is none, or they are not known.
func (m *maker) sayWhatIsMeant(ctx context.Context, all *target.Listing) {
	var warnings []string
	for _, p := range m.resolved {
		if !resolve.Declares(m.workload, p) {
			warnings = append(warnings, fmt.Sprintf("no Service and no container of %s declares port %s: it is taken for a port that the application listens on",
				m.workload, resolve.Identifier(p)))
		}
	}
	if all != nil {
		if owners, err := target.Owners(ctx, m.client, m.workload, all); err == nil && len(owners) > 1 {
			last := len(owners) - 1
			warnings = append(warnings, fmt.Sprintf("%s selects pods of %s and %s: all of them that have the port are intercepted",
				m.workload, strings.Join(owners[:last], ", "), owners[last]))
		}
	}
	if len(warnings) > 0 {
		m.progress.Done()
	}
	for _, w := range warnings {
		render.Warn(m.ErrOut, w)
	}
}
