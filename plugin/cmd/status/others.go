package status

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
)

// printOthers tells of the other sessions on this machine: a line for each, or
// everything.
func (s *Status) printOthers(w io.Writer, all bool) error {
	if len(s.Others) == 0 {
		return nil
	}
	if !all {
		fmt.Fprintln(w, "Other sessions on this machine, which kubectl intercept status --all shows:")
	}
	for _, k := range s.Others {
		if !all {
			fmt.Fprintf(w, "%s%s: %s; kubectl intercept quit %s ends it\n", indent, name(&k), brief(&k), k.Flag)
			continue
		}
		fmt.Fprintf(w, "Session of %s: %s\n", name(&k), life(&k))
		if err := render.Block(w, indent, rowsOf(&k)); err != nil {
			return err
		}
	}
	return nil
}

func name(k *session.Known) string {
	if k.Context == "" {
		return "a context that is not known"
	}
	return fmt.Sprintf("context %q", k.Context)
}

// brief is what it does.
func brief(k *session.Known) string {
	if k.Status == nil {
		return life(k)
	}
	parts := []string{"network " + network(k.Status.Network)}
	if n := len(k.Status.Intercepts); n > 0 {
		parts = append(parts, render.Count(int64(n), "intercept"))
	}
	return strings.Join(parts, ", ")
}

func life(k *session.Known) string {
	switch {
	case k.Status != nil:
		return "running"
	case k.Restores:
		return "gone, and its network comes back with it"
	case k.PID != 0:
		return "process " + strconv.Itoa(k.PID) + " does not answer"
	}
	if !k.Locked() {
		return "gone, and its intercepts come back with it"
	}
	return "a process that does not answer"
}

func rowsOf(k *session.Known) []render.Row {
	rows := []render.Row{{Label: "User", Value: k.User}, {Label: "Server", Value: k.Server}}
	if p := k.Status; p != nil {
		rows = append(rows, sessionRows(p)...)
		rows = append(rows, render.Row{Label: "Network", Value: network(p.Network)})
		for _, i := range p.Intercepts {
			var to []string
			for _, port := range i.Ports {
				to = append(to, port.Local)
			}
			rows = append(rows, render.Row{Label: "Intercept", Value: fmt.Sprintf("%s/%s, %s, to %s", i.Namespace, i.Name, i.State, strings.Join(to, ", "))})
		}
	}
	return append(rows, render.Row{Label: "To end it", Value: "kubectl intercept quit " + k.Flag})
}
