package status

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/device"
)

// network is the line that says how programs reach the cluster.
func network(n *session.Network) string {
	if n == nil {
		return "off"
	}
	var ways []string
	if d := n.Device; d != nil {
		ways = append(ways, leaving(fmt.Sprintf("interface %s, names of namespace %s", d.Interface, d.Namespace), d.Leaves))
	}
	if n.Missing != "" {
		ways = append(ways, "asked for, but "+n.Missing)
	}
	for _, p := range n.Proxies {
		ways = append(ways, leaving(fmt.Sprintf("proxy at %s, names of namespace %s", p.Address, p.Namespace), p.Leaves()))
	}
	return strings.Join(append(ways, programs(n.Isolated)...), "; ")
}

// programs says of programs with a network of their own where their connections leave from.
func programs(all []device.Status) []string {
	count := map[device.Leaves]int64{}
	for _, d := range all {
		count[d.Leaves]++
	}
	var ways []string
	for l, k := range count {
		ways = append(ways, leaving(render.Count(k, "program")+" with a network of its own", l))
	}
	slices.Sort(ways)
	return ways
}

// leaving adds to a way where its connections leave from, if not from the traffic-manager.
func leaving(way string, l device.Leaves) string {
	if from := l.String(); from != "" {
		way += ", " + from
	}
	return way
}

// networkRows are the interface in detail.
func networkRows(s *session.Status) []render.Row {
	if s == nil || s.Network == nil || s.Network.Device == nil {
		return nil
	}
	d := s.Network.Device
	rows := []render.Row{
		{Label: "Routes", Value: prefixes(d.Routes)},
		{Label: "Left out", Value: prefixes(d.Never)},
	}
	for _, c := range d.Clashing {
		rows = append(rows, render.Row{Label: "Overlap", Value: fmt.Sprintf("%s is this machine's already; the cluster's part appears under %s", c, d.Virtual)})
	}
	rows = append(rows, render.Row{Label: "DNS", Value: names(d)}, render.Row{Label: "Search", Value: strings.Join(d.Search, " ")})
	if s.RTT > 0 {
		rows = append(rows, render.Row{Label: "Round trip", Value: s.RTT.Round(10 * time.Microsecond).String()})
	}
	return rows
}

func names(d *device.Status) string {
	text := fmt.Sprintf("%s, by %s", d.DNS, d.DNSMode)
	if d.DNSMode == "" {
		text = d.DNS.String() + ", which no program asks by itself"
	}
	var others []string
	for _, r := range d.Resolvers {
		others = append(others, r.Addr().String())
	}
	if len(others) > 0 {
		text += "; other names from " + strings.Join(others, ", ")
	}
	return text
}

func prefixes(list []netip.Prefix) string {
	var all []string
	for _, p := range list {
		all = append(all, p.String())
	}
	return strings.Join(all, ", ")
}
