package report

import (
	"cmp"
	"fmt"
	"slices"
)

// Report collects measured values. It is not safe for concurrent use.
type Report struct {
	figures []Figure
	cells   map[cellKey]*Cell
}

type cellKey struct{ key, column string }

// Cell is what was measured of one figure on one path.
type Cell struct {
	Median float64   `json:"median"`
	All    []float64 `json:"all,omitempty"`
	// Failed is why a value is missing. The median is then 0: a path that does
	// not work is the slowest there is.
	Failed string `json:"failed,omitempty"`
}

// New returns an empty report of these figures, in this order.
func New(figures []Figure) *Report {
	return &Report{figures: figures, cells: map[cellKey]*Cell{}}
}

// Add notes a value of a round.
func (r *Report) Add(key, column string, value float64) {
	c := r.cell(key, column)
	c.All = append(c.All, value)
	if c.Failed == "" {
		c.Median = Median(c.All)
	}
}

// Fail notes that a figure could not be measured.
func (r *Report) Fail(key, column string, err error) {
	c := r.cell(key, column)
	c.Median = 0
	if c.Failed == "" {
		c.Failed = err.Error()
	}
}

func (r *Report) cell(key, column string) *Cell {
	if !slices.ContainsFunc(r.figures, func(f Figure) bool { return f.Key == key }) {
		panic("report: unknown figure " + key)
	}
	c := r.cells[cellKey{key, column}]
	if c == nil {
		c = &Cell{}
		r.cells[cellKey{key, column}] = c
	}
	return c
}

// Median is the middle value, or the mean of the two in the middle; 0 of none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}

// Row is a figure with its values and how they compare.
type Row struct {
	Key     string          `json:"key"`
	Title   string          `json:"title"`
	Unit    Unit            `json:"unit"`
	Column  string          `json:"column"` // what is judged
	Cells   map[string]Cell `json:"cells"`
	Ratio   float64         `json:"ratio,omitempty"`
	Bar     string          `json:"bar,omitempty"`
	Verdict string          `json:"verdict,omitempty"`
}

// Verdicts of a Row with a bar.
const (
	OK    = "ok"
	Below = "below"
)

// Rows returns the figures of which anything was measured.
func (r *Report) Rows() []Row {
	var rows []Row
	for _, f := range r.figures {
		row := Row{Key: f.Key, Title: f.Title, Unit: f.Unit, Column: cmp.Or(f.Column, Intercept), Cells: map[string]Cell{}}
		for _, column := range []string{Loopback, Direct, Forward, Nginx, HAProxy, Matched, ViaNone, KubectlCp, SSHFS, row.Column} {
			if c := r.cells[cellKey{f.Key, column}]; c != nil {
				row.Cells[column] = *c
			}
		}
		if len(row.Cells) == 0 {
			continue
		}
		row.Ratio, row.Bar, row.Verdict = r.judge(f)
		rows = append(rows, row)
	}
	return rows
}

// judge compares the judged column of a figure with its bar.
func (r *Report) judge(f Figure) (ratio float64, bar, verdict string) {
	column := cmp.Or(f.Column, Intercept)
	base := r.cells[cellKey{f.Key, cmp.Or(f.Bar.Against, Forward)}]
	if f.Bar.Base != "" {
		base = r.cells[cellKey{f.Bar.Base, column}]
	}
	c := r.cells[cellKey{f.Key, column}]
	if c == nil {
		return 0, "", ""
	}
	if base != nil && base.Median > 0 {
		ratio = c.Median / base.Median
	}
	var ok bool
	switch f.Bar.Kind {
	case None:
		return ratio, "", ""
	case RatioAtLeast:
		bar = fmt.Sprintf("≥ %.2f", f.Bar.Limit)
		// Where port-forward does not work at all, working is enough.
		stuck := base != nil && base.Failed != "" && f.Bar.Base == ""
		ok = ratio >= f.Bar.Limit || stuck
	case RatioAtMost:
		bar = fmt.Sprintf("≤ %.2f", f.Bar.Limit)
		stuck := base != nil && base.Failed != ""
		ok = ratio > 0 && ratio <= f.Bar.Limit || stuck
	case AtMost:
		bar = fmt.Sprintf("≤ %g %s", f.Bar.Limit, f.Unit)
		ok = c.Median <= f.Bar.Limit
	case AddedAtMost:
		bar = fmt.Sprintf("≤ +%g %s", f.Bar.Limit, f.Unit)
		ok = base != nil && base.Failed == "" && c.Median-base.Median <= f.Bar.Limit
	case AtLeast:
		bar = fmt.Sprintf("≥ %g %s", f.Bar.Limit, f.Unit)
		ok = c.Median >= f.Bar.Limit
	}
	if f.Bar.Floor > 0 && base != nil && base.Median >= f.Bar.Given {
		bar += fmt.Sprintf(", ≥ %g %s", f.Bar.Floor, f.Unit)
		ok = ok && c.Median >= f.Bar.Floor
	}
	if ok && c.Failed == "" {
		return ratio, bar, OK
	}
	return ratio, bar, Below
}

// Noise says why the run does not count, if so.
func (r *Report) Noise() []string {
	var why []string
	for _, f := range r.figures {
		for _, column := range []string{Direct, Forward} {
			c, floor := r.cells[cellKey{f.Key, column}], f.Floor[column]
			if c != nil && c.Failed == "" && c.Median < floor {
				why = append(why, fmt.Sprintf("%s, %s: %.0f %s is under %.0f", f.Title, column, c.Median, f.Unit, floor))
			}
		}
	}
	return why
}
