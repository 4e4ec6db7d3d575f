package fault

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// Bars, in milliseconds at the 99th percentile.
const (
	goneAtMost  = 2_000
	againAtMost = 10_000
)

// Row is what all rounds of a fault showed.
type Row struct {
	Fault  string         `json:"fault"`
	Mode   string         `json:"mode"`
	Rounds []figures      `json:"rounds"`
	Left   map[string]int `json:"leftBehind"`
	// Failed are the rounds that did not come to an end, with the reason.
	Failed []string `json:"failed,omitempty"`
	// Known says why the promise is not kept by design.
	Known string `json:"known,omitempty"`
}

// Count is a figure with the limit that it is to keep.
type Count struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit,omitempty"`
	Limit float64 `json:"limit"` // NoLimit for none
	// Promise says that a run that misses the limit has failed.
	Promise bool `json:"promise"`
}

// NoLimit is the limit of what is only told.
const NoLimit = -1

func (c Count) verdict() string {
	switch {
	case c.Limit == NoLimit:
		return ""
	case c.Value <= c.Limit:
		return "ok"
	}
	return "missed"
}

// Report is what a run showed.
type Report struct {
	Seed   uint64   `json:"seed"`
	Rows   []*Row   `json:"faults"`
	Counts []Count  `json:"crowd,omitempty"`
	Notes  []string `json:"notes,omitempty"`
}

// sum adds a figure of all rounds.
func (r *Row) sum(of func(figures) int64) (n int64) {
	for _, f := range r.Rounds {
		n += of(f)
	}
	return n
}

// Lost is how many requests the application lost, and how many answers came from whoever
// should not have had the request.
func (r *Row) Lost() int64 { return r.sum(func(f figures) int64 { return int64(f.Lost + f.Astray) }) }

// knownFor bounds, in milliseconds after the fault, what a row may call known.
const knownFor = 5_000

// unknown is how many of the lost requests nothing explains.
func (r *Row) unknown() int64 {
	if r.Known == "" {
		return r.Lost()
	}
	return r.sum(func(f figures) int64 {
		if f.LastLost > knownFor {
			return int64(f.Lost + f.Astray)
		}
		return int64(f.Astray)
	})
}

// Damaged is how many bytes were not what was sent.
func (r *Row) Damaged() int64 { return r.sum(func(f figures) int64 { return f.Damaged }) }

// LeftBehind is how much was left after leave and quit.
func (r *Row) LeftBehind() (n int) {
	for _, c := range r.Left {
		n += c
	}
	return n
}

// quantile returns the value at q of those that rounds have. ok is false if none has one.
func (r *Row) quantile(q float64, of func(figures) *float64) (v float64, ok bool) {
	var all []float64
	for _, f := range r.Rounds {
		if p := of(f); p != nil {
			all = append(all, *p)
		}
	}
	if len(all) == 0 {
		return 0, false
	}
	slices.Sort(all)
	return all[max(0, int(math.Ceil(q*float64(len(all))))-1)], true
}

func gone(f figures) *float64    { return f.Gone }
func again(f figures) *float64   { return f.Again }
func reached(f figures) *float64 { return f.Reached }

// times is a cell with the 50th and the 99th percentile.
func (r *Row) times(of func(figures) *float64) string {
	p50, ok := r.quantile(0.5, of)
	if !ok {
		return "–"
	}
	p99, _ := r.quantile(0.99, of)
	return fmt.Sprintf("%.0f / %.0f", p50, p99)
}

// Missed names the bars that the fault misses.
func (r *Row) Missed() []string {
	var missed []string
	note := func(bad bool, what string) {
		if bad {
			missed = append(missed, what)
		}
	}
	note(len(r.Failed) > 0, "unfinished rounds")
	note(r.Lost() > 0, "lost")
	v, ok := r.quantile(0.99, gone)
	note(ok && v > goneAtMost, "redirect gone")
	v, ok = r.quantile(0.99, again)
	note(ok && v > againAtMost, "serving again")
	note(r.Damaged() > 0, "damaged")
	note(r.LeftBehind() > 0, "left behind")
	return missed
}

func (r *Row) verdict() string {
	if missed := r.Missed(); len(missed) > 0 {
		return "missed: " + strings.Join(missed, ", ")
	}
	return "ok"
}

// Print writes the tables.
func (p *Report) Print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(p.Rows) > 0 {
		fmt.Fprintf(w, "fault\tagent\ttimes\trequests\tin flight\tof these, while it died\tlost (0)\tredirect gone ms p50/p99 (≤ %d)\tserving again ms p50/p99 (≤ %d)\toutbound again ms\tdamaged of MB (0)\tUDP answered\tleft (0)\t\n", goneAtMost, againAtMost)
	}
	for _, r := range p.Rows {
		asked := r.sum(func(f figures) int64 { return f.Asked })
		udp := "–"
		if asked > 0 {
			udp = fmt.Sprintf("%.1f %%", 100*float64(r.sum(func(f figures) int64 { return f.Echoed }))/float64(asked))
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%d of %.0f\t%s\t%d\t%s\n", r.Fault, r.Mode, len(r.Rounds),
			r.sum(func(f figures) int64 { return int64(f.Requests) }), r.sum(func(f figures) int64 { return int64(f.InFlight) }), r.sum(func(f figures) int64 { return int64(f.Dying) }), r.Lost(),
			r.times(gone), r.times(again), r.times(reached), r.Damaged(), float64(r.sum(func(f figures) int64 { return f.Moved }))/1e6,
			udp, r.LeftBehind(), r.verdict())
	}
	if len(p.Rows) > 0 && len(p.Counts) > 0 {
		fmt.Fprintln(w)
	}
	for _, c := range p.Counts {
		limit := ""
		if c.Limit != NoLimit {
			limit = fmt.Sprintf("≤ %g", c.Limit)
		}
		fmt.Fprintf(w, "%s\t%.4g %s\t%s\t%s\n", c.Name, c.Value, c.Unit, limit, c.verdict())
	}
	err := w.Flush()
	for _, r := range p.Rows {
		p.explain(out, r)
	}
	for _, n := range p.Notes {
		fmt.Fprintln(out, n)
	}
	return err
}

// explain says what a row with a fault of ours shows.
func (p *Report) explain(out io.Writer, r *Row) {
	for _, why := range r.Failed {
		fmt.Fprintf(out, "%s, %s: %s\n", r.Fault, r.Mode, why)
	}
	for _, f := range r.Rounds {
		for _, e := range f.Examples {
			fmt.Fprintf(out, "%s, %s: lost %s\n", r.Fault, r.Mode, e)
		}
	}
	for what, n := range r.Left {
		if n > 0 {
			fmt.Fprintf(out, "%s, %s: left behind: %d %s\n", r.Fault, r.Mode, n, what)
		}
	}
	if r.Known != "" && r.Lost() > 0 {
		fmt.Fprintf(out, "%s, %s: %s\n", r.Fault, r.Mode, r.Known)
	}
}

// Write writes the report to a file.
func (p *Report) Write(file string) error {
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// Problems are the counts that are not what they are to be. Times are none, and neither is
// what a row calls known.
func (p *Report) Problems() (all []string) {
	for _, r := range p.Rows {
		name := r.Fault + ", " + r.Mode
		for _, why := range r.Failed {
			all = append(all, name+": "+why)
		}
		if n := r.unknown(); n > 0 {
			all = append(all, fmt.Sprintf("%s: %d requests lost or answered by others", name, n))
		}
		if n := r.Damaged(); n > 0 {
			all = append(all, fmt.Sprintf("%s: %d bytes damaged", name, n))
		}
		if n := r.LeftBehind(); n > 0 {
			all = append(all, fmt.Sprintf("%s: %d left behind: %v", name, n, r.Left))
		}
	}
	for _, c := range p.Counts {
		if c.verdict() == "missed" && c.Promise {
			all = append(all, fmt.Sprintf("%s: %g %s, want at most %g", c.Name, c.Value, c.Unit, c.Limit))
		}
	}
	return all
}
