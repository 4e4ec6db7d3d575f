package status

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// addMatching adds how requests compared with the conditions and, if none met them, what may
// help.
func (d *Intercept) addMatching(i *v1alpha1.Intercept) {
	d.Matching = i.Status.Matching
	if !meta.IsStatusConditionFalse(i.Status.Conditions, v1alpha1.ConditionMatched) || d.Matching == nil {
		return
	}
	d.TryIt = render.Curl(i)
	for n, c := range i.Spec.Match.Conditions() {
		if n >= len(d.Matching.Conditions) || d.Matching.Conditions[n].Met > 0 || c.Part != match.Header {
			continue
		}
		name := strings.ToLower(c.Name)
		if slices.Contains(d.Matching.Headers, name) {
			continue
		}
		if near := target.Near(name, d.Matching.Headers); len(near) > 0 {
			d.DidYouMean = append(d.DidYouMean, near[0])
		}
	}
}

// matchingRows say how many requests met each condition.
func (i *Intercept) matchingRows() []render.Row {
	m := i.Matching
	if m == nil || m.Compared == 0 {
		return nil
	}
	heading := render.Count(m.Requests, "request")
	if m.Compared < m.Requests {
		heading = fmt.Sprintf("%d of %s", m.Compared, heading)
	}
	lines := []string{heading + ", of which met"}
	for _, c := range m.Conditions {
		lines = append(lines, fmt.Sprintf("%d: %s", c.Met, c.Condition))
	}
	if len(m.Conditions) > 1 {
		lines = append(lines, fmt.Sprintf("%d: all of them", m.MetAll))
	}
	return []render.Row{{Label: "Compared", Value: strings.Join(lines, "\n")}}
}

// hintRows say what may help if no request met the conditions.
func (i *Intercept) hintRows() []render.Row {
	hint := ""
	if len(i.DidYouMean) > 0 {
		hint = "the header " + strings.Join(i.DidYouMean, ", the header ")
	}
	return []render.Row{{Label: "Did you mean", Value: hint}, {Label: "Try it", Value: i.TryIt}}
}
