// Package report keeps what a run measured, compares it with the bars, and
// prints it as a table and as JSON. It measures nothing.
package report

// Columns of the tables: the paths from the caller to the server. The last one
// of a table is what is judged.
const (
	Direct    = "direct"
	Forward   = "port-forward"
	Intercept = "intercept" // a pod's connections, on the laptop
	Outbound  = "outbound"  // the laptop's connections, in the cluster
	Loopback  = "loopback"  // the kernel's own, on the laptop

	// Of HTTP requests, from a caller in the cluster to a pod.
	Nginx     = "nginx"     // which is the pod's reverse proxy
	HAProxy   = "HAProxy"   // the same
	Matched   = "matched"   // through the agent, to the laptop
	Unmatched = "unmatched" // through the agent, to the application

	// Of the laptop's connections, by where they leave from.
	ViaNone = "traffic-manager"
	ViaPod  = "pod"

	// Of a pod's volumes, on the laptop.
	KubectlCp = "kubectl cp"
	SSHFS     = "sshfs"
	Volume    = "volume" // ours
)

// columns of the table in which a column is the last.
func columns(last string, rows []Row) []string {
	if last == Unmatched {
		return []string{Direct, Nginx, HAProxy, Matched, last}
	}
	if last == ViaPod {
		return []string{ViaNone, last}
	}
	if last == Volume {
		return []string{KubectlCp, SSHFS, last}
	}
	for _, r := range rows {
		if _, ok := r.Cells[Loopback]; ok && r.Column == last {
			return []string{Loopback, Direct, Forward, last}
		}
	}
	return []string{Direct, Forward, last}
}

// Unit says how a value is written.
type Unit string

// Units.
const (
	Rate      Unit = "MB/s"
	Millis    Unit = "ms"
	PerSecond Unit = "/s"
	Megabytes Unit = "MB"
	Seconds   Unit = "s"
	Gigabits  Unit = "Gbit/s"
	Micros    Unit = "µs"
)

// Figure is a line of the table.
type Figure struct {
	Key   string // for programs, unique
	Title string
	Unit  Unit
	Bar   Bar
	// Column is what is judged; empty means Intercept.
	Column string
	// Floor is, by column, under what value the machine was too busy for the
	// run to count.
	Floor map[string]float64
}

// Bar is what the judged column is to reach. The zero Bar asks for nothing, but
// the ratio to kubectl port-forward is shown.
type Bar struct {
	Kind  Kind
	Limit float64
	// Base is the figure of the judged column that the ratio is taken to; empty
	// means the same figure in the column Against.
	Base string
	// Against is Forward if it is empty.
	Against string
	// Floor is what the value must reach besides, where Against has Given.
	Floor, Given float64
}

// Kind of a Bar.
type Kind int

// Kinds.
const (
	None Kind = iota
	RatioAtLeast
	RatioAtMost
	AtMost
	AtLeast
	AddedAtMost // more than what it is compared with
)
