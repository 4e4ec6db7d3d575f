package agents

import (
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// comparison is what a route's report says about an Intercept's conditions; nil if it is
// about others, which the agent followed before.
func comparison(ic *v1alpha1.Intercept, r *rpc.RouteReport) *v1alpha1.PortComparison {
	c := r.Comparison
	if c == nil || ic.Status.Match == nil || !proto.Equal(c.Match, rpc.MatchOf(ic.Status.Match.Conditions())) {
		return nil
	}
	out := &v1alpha1.PortComparison{Comparison: v1alpha1.Comparison{Requests: int64(c.Requests), Taken: int64(c.Taken),
		Compared: int64(c.Compared), MetAll: int64(c.MetAll), PassedSince: second(c.PassedSince)}}
	for _, met := range c.Met {
		out.Met = append(out.Met, int64(met))
	}
	return out
}

// matching sums up the comparisons of an Intercept's pods; nil if it has no conditions, or
// no agent says anything about them.
func (w *statusWriter) matching(ic *v1alpha1.Intercept, pods []v1alpha1.PodStatus) *v1alpha1.Matching {
	conditions := ic.Status.Match.Conditions()
	if len(conditions) == 0 {
		return nil
	}
	m, said := v1alpha1.NewMatching(conditions), false
	for _, pod := range pods {
		for _, port := range pod.Ports {
			m.Add(port.Comparison)
			said = said || port.Comparison != nil
		}
	}
	if !said {
		return nil
	}
	if m.Taken == 0 && m.PassedSince != nil {
		m.Headers = w.headers(ic)
	}
	return m
}

// headers are the names that this replica's agents have seen, and those in the status,
// which other replicas may have written. Of too many the first are kept, so that replicas
// agree.
func (w *statusWriter) headers(ic *v1alpha1.Intercept) []string {
	var all []string
	if ic.Status.Matching != nil {
		all = slices.Clone(ic.Status.Matching.Headers)
	}
	w.mu.Lock()
	for a := range w.agents {
		for _, r := range a.routes {
			if a.pod.Namespace == ic.Namespace && r.InterceptUid == string(ic.UID) && comparison(ic, r) != nil {
				all = append(all, r.Comparison.Headers...)
			}
		}
	}
	w.mu.Unlock()
	slices.Sort(all)
	all = slices.Compact(all)
	return all[:min(len(all), v1alpha1.MaxHeaders)]
}
