package status

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
)

const indent = "  "

// print writes the status for people: a heading per part, details below.
func (s *Status) print(w io.Writer) error {
	if s.Context == "" && s.Session == nil { // there is no kubeconfig that would say more
		_, err := fmt.Fprintf(w, "Session: none: %s\n", s.Error)
		return err
	}
	heading := "Session: not running"
	rows := []render.Row{
		{Label: "User", Value: s.User},
		{Label: "Context", Value: s.Context},
		{Label: "Server", Value: s.Server},
		{Label: "Namespace", Value: s.Namespace},
	}
	if p := s.Session; p != nil {
		heading = "Session: running"
		rows = append(rows, sessionRows(p)...)
	}
	fmt.Fprintln(w, heading)
	if err := render.Block(w, indent, rows); err != nil {
		return err
	}
	fmt.Fprintf(w, "Manager: %s\n", s.manager())
	if s.License != nil {
		fmt.Fprintf(w, "License: %s\n", s.License)
	}
	fmt.Fprintf(w, "Network: %s\n", s.Network)
	if err := render.Block(w, indent, networkRows(s.Session)); err != nil {
		return err
	}
	if err := s.printDenied(w); err != nil {
		return err
	}
	switch {
	case s.unread && s.Manager.Version != "": // Manager does not tell the error
		fmt.Fprintf(w, "Intercepts: not known: %s\n", s.Error)
	case s.unread && len(s.Intercepts) == 0:
		fmt.Fprintln(w, "Intercepts: not known")
	case len(s.Intercepts) == 0:
		fmt.Fprintln(w, "Intercepts: none")
	default:
		fmt.Fprintln(w, "Intercepts:")
	}
	for _, i := range s.Intercepts {
		fmt.Fprintf(w, "%s%s/%s: %s\n", indent, i.Namespace, i.Name, i.State)
		if err := render.Block(w, indent+indent, i.rows()); err != nil {
			return err
		}
	}
	return nil
}

// printDenied says what was out of reach lately, and what would change that.
func (s *Status) printDenied(w io.Writer) error {
	if s.Session == nil || len(s.Session.Denied) == 0 {
		return nil
	}
	fmt.Fprintln(w, "Denied:")
	var rows []render.Row
	for _, d := range s.Session.Denied {
		rows = append(rows, render.Row{Label: d.Target, Value: fmt.Sprintf("%s (%s, last at %s)",
			d.Reason, times(d.Count), d.Last.UTC().Format("2006-01-02 15:04:05 UTC"))})
	}
	return render.Block(w, indent, rows)
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return strconv.Itoa(n) + " times"
}

func (s *Status) manager() string {
	switch {
	case s.Manager.Version != "":
		return fmt.Sprintf("%s in namespace %q", s.Manager.Version, s.Manager.Namespace)
	case s.Session != nil && s.Session.ManagerVersion != "":
		return fmt.Sprintf("%s in namespace %q (%s)", s.Session.ManagerVersion, s.Manager.Namespace, s.Error)
	case s.Error != "":
		return s.Error
	}
	return "unknown"
}

func (i *Intercept) rows() []render.Row {
	rows := []render.Row{{Label: "Workload", Value: i.Workload}, {Label: "Owner", Value: i.Owner}, {Label: "Goes to", Value: i.Elsewhere}}
	for _, p := range i.Ports {
		label := "Port"
		if p.Port != "" {
			label += " " + p.Port
		}
		value := p.Local
		if p.Untyped {
			value += ", to which this machine does not connect, since nobody typed the address here: repeat kubectl intercept add with this --port"
		}
		rows = append(rows, render.Row{Label: label, Value: value})
	}
	rows = append(rows, render.Row{Label: "Volume Mount Point", Value: i.VolumeMountPoint}, render.Row{Label: "Stopped", Value: i.Stopped}, i.previewRow())
	if i.Mode == string(v1alpha1.ModePersonal) {
		rows = append(rows, render.Row{Label: "Intercepting", Value: render.Requests(i.Match)}, render.Row{Label: "Requests", Value: soFar(i.Requests)})
	}
	rows = append(rows, i.matchingRows()...)
	switch {
	case i.Ingesting != "":
		rows = append(rows, render.Row{Label: "Intercepting", Value: i.Ingesting})
	case i.Mirroring != "":
		rows = append(rows, i.copiedRows()...)
	default:
		rows = append(rows, render.Row{Label: "Connections", Value: soFar(i.Connections)})
		rows = append(rows, i.missedRows()...)
	}
	rows = append(rows, i.probeRows()...)
	rows = append(rows, render.Row{Label: "Message", Value: i.Message}, render.Row{Label: "Overlap", Value: i.Overlap})
	return append(append(rows, i.valueRows()...), i.hintRows()...)
}

// previewRow says where the preview is, or why it leads nowhere.
func (i *Intercept) previewRow() render.Row {
	switch p := i.Preview; {
	case p == nil:
		return render.Row{}
	case p.Message != "":
		return render.Row{Label: "Preview", Value: "leads nowhere: " + p.Message}
	default:
		return render.Row{Label: "Preview URL", Value: p.URL}
	}
}

// sessionRows are what a process says of itself. Its tunnel to the traffic-manager
// is one thing, and the network that connect gives to this machine's programs
// another.
func sessionRows(p *session.Status) []render.Row {
	return []render.Row{
		{Label: "Name", Value: p.Session},
		{Label: "Process", Value: process(p)},
		{Label: "Tunnel", Value: tunnel(p)},
		{Label: "Transport", Value: transport(p)},
		{Label: "Last error", Value: p.LastError},
		{Label: "Log file", Value: p.LogFile},
	}
}

// process says which process it is. One of another version is left over from before the plugin
// was upgraded.
func process(p *session.Status) string {
	text := strconv.Itoa(p.PID) + ", version " + p.Version
	if p.Version != version.Version {
		text += "; the next kubectl intercept add, run or connect replaces it with version " + version.Version + " and keeps its intercepts and network"
	}
	return text
}

func tunnel(p *session.Status) string {
	if !p.Connected {
		return "down"
	}
	text := "up, " + render.Count(int64(p.Carriers), "carrier")
	if p.Lines > 0 {
		text += ", " + render.Count(int64(p.Lines), "line") + " to agents"
	}
	return text
}

func transport(p *session.Status) string {
	text := p.Transport
	if p.Relay != "" {
		text += ", relay " + p.Relay
	}
	if p.NotDirect != "" {
		text += "; not directly: " + strings.TrimPrefix(p.NotDirect, "direct: ")
	}
	return text
}
