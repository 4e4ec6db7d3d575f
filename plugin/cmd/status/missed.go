package status

import (
	"fmt"
	"slices"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
)

// addMissed adds what one pod did not deliver. Of an agent of an older version
// the number alone is known.
func addMissed(list []v1alpha1.NotDelivered, p v1alpha1.PodStatus) []v1alpha1.NotDelivered {
	more, rest := slices.Clone(p.NotDelivered), p.Fallbacks
	for _, m := range more {
		rest -= m.Connections
	}
	if rest > 0 {
		more = append(more, v1alpha1.NotDelivered{Reason: v1alpha1.UnknownReason, Connections: rest})
	}
	for _, m := range more {
		if k := slices.IndexFunc(list, func(x v1alpha1.NotDelivered) bool { return x.Reason == m.Reason }); k >= 0 {
			list[k].Connections += m.Connections
		} else {
			list = append(list, m)
		}
	}
	return list
}

// missedRows say how many connections did not reach the program, and what it
// was that failed.
func (i *Intercept) missedRows() []render.Row {
	answer := "answered by the application"
	if i.NoFallback {
		answer = "refused"
	}
	var rows []render.Row
	for _, m := range i.NotDelivered {
		rows = append(rows, render.Row{Label: "Not delivered", Value: fmt.Sprintf("%s %s: %s",
			render.Count(m.Connections, "connection"), answer, i.why(m.Reason))})
	}
	if i.Opaque > 0 {
		rows = append(rows, render.Row{Label: "Not told apart", Value: render.Count(i.Opaque, "connection") +
			" answered by the application: programs may read the requests in them differently"})
	}
	return rows
}

// copiedRows say what a mirror has copied, and what it dropped for what reasons.
func (i *Intercept) copiedRows() []render.Row {
	copied, noun := soFar(i.Connections-i.Fallbacks), "connection"
	if i.Requests > 0 {
		noun = "request"
	}
	if n := i.Connections - i.Fallbacks; n > 0 {
		copied = fmt.Sprintf("%s, %s", render.Count(n, noun), render.Count(i.BytesCopied, "byte"))
	}
	rows := []render.Row{{Label: "Mirroring", Value: i.Mirroring}, {Label: "Copied", Value: copied}}
	for _, m := range i.NotDelivered {
		rows = append(rows, render.Row{Label: "Dropped", Value: fmt.Sprintf("%s: %s", render.Count(m.Connections, noun), i.why(m.Reason))})
	}
	return rows
}

func (i *Intercept) why(r v1alpha1.NotDeliveredReason) string {
	switch r {
	case v1alpha1.ProgramRefused:
		return "nothing listens on " + i.locals()
	case v1alpha1.ProgramSilent:
		return fmt.Sprintf("the program on %s did not take them in time", i.locals())
	case v1alpha1.SessionAway:
		return "the session had no connection to the traffic-manager"
	case v1alpha1.SessionSilent:
		return "the session did not answer in time"
	case v1alpha1.ManagerUnreachable:
		return "the agent did not reach the traffic-manager"
	case v1alpha1.TooSlow:
		return fmt.Sprintf("the program on %s did not take them as fast as they came", i.locals())
	case v1alpha1.Cut:
		return fmt.Sprintf("the connection to the program on %s ended before it had all of them", i.locals())
	case v1alpha1.NotAllowed:
		return "the traffic-manager knew of no such intercept of this session"
	}
	return "the agent is of another version and does not say why"
}
