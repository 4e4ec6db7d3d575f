package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Print writes rows for a person: a table for each column that is judged. In the table of
// HTTP requests, a ratio to the direct path stands behind each value.
func Print(w io.Writer, rows []Row) error {
	var printed []string
	for _, r := range rows {
		if slices.Contains(printed, r.Column) {
			continue
		}
		if len(printed) > 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		printed = append(printed, r.Column)
		if err := printTable(w, rows, r.Column); err != nil {
			return err
		}
	}
	return nil
}

func printTable(w io.Writer, rows []Row, last string) error {
	shown := columns(last, rows)
	lines := [][]string{append(append([]string{"", ""}, shown...), "ratio", "bar", "")}
	for _, r := range rows {
		if r.Column != last {
			continue
		}
		line := []string{r.Title, string(r.Unit)}
		for _, column := range shown {
			c, ok := r.Cells[column]
			s := text(c, ok, r.Unit)
			if base := r.Cells[Direct].Median; last == Unmatched && column != Direct && c.Median > 0 && base > 0 {
				s += fmt.Sprintf(" %5.2f", c.Median/base)
			}
			line = append(line, s)
		}
		ratio := ""
		if r.Ratio > 0 {
			ratio = fmt.Sprintf("%.2f", r.Ratio)
		}
		lines = append(lines, append(line, ratio, r.Bar, r.Verdict))
	}
	return align(w, lines, 2, 2+len(shown))
}

func text(c Cell, ok bool, u Unit) string {
	switch {
	case !ok:
		return "-"
	case c.Failed != "":
		return "failed"
	}
	return Format(c.Median, u)
}

// Format writes a value in its unit, which it does not name.
func Format(v float64, u Unit) string {
	switch {
	case u == Rate || u == PerSecond || u == Millis && v >= 100:
		return fmt.Sprintf("%.0f", v)
	case u == Megabytes || u == Gigabits || u == Micros || u == Millis && v >= 10:
		return fmt.Sprintf("%.1f", v)
	case u == Seconds:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// Grid is a small table of medians: what each process spent.
type Grid struct {
	Title   string   `json:"title"`
	Columns []string `json:"columns"`
	Rows    []string `json:"rows"`
	// Values are by row, then by column.
	Values map[string]map[string][]float64 `json:"values"`
}

// Add notes a value. Rows appear in the order of their first value.
func (g *Grid) Add(row, column string, v float64) {
	if g.Values == nil {
		g.Values = map[string]map[string][]float64{}
	}
	if g.Values[row] == nil {
		g.Values[row] = map[string][]float64{}
		g.Rows = append(g.Rows, row)
	}
	g.Values[row][column] = append(g.Values[row][column], v)
}

// Print writes the table without columns of which nothing was measured.
func (g *Grid) Print(w io.Writer) error {
	if len(g.Rows) == 0 {
		return nil
	}
	columns := slices.DeleteFunc(slices.Clone(g.Columns), func(column string) bool {
		return !slices.ContainsFunc(g.Rows, func(row string) bool { return len(g.Values[row][column]) > 0 })
	})
	lines := [][]string{append([]string{g.Title}, columns...)}
	for _, row := range g.Rows {
		line := []string{row}
		for _, column := range columns {
			value := "-"
			if all := g.Values[row][column]; len(all) > 0 {
				value = fmt.Sprintf("%.2f", Median(all))
			}
			line = append(line, value)
		}
		lines = append(lines, line)
	}
	return align(w, lines, 1, len(columns))
}

// align prints lines in columns, those from first to last flushed right.
func align(w io.Writer, lines [][]string, first, last int) error {
	var widths []int
	for _, line := range lines {
		for i, s := range line {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(s))
		}
	}
	for _, line := range lines {
		var b strings.Builder
		for i, s := range line {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(s))
			if i >= first && i <= last {
				s, pad = pad+s, ""
			}
			if i > 0 {
				b.WriteString("  ")
			}
			b.WriteString(s + pad)
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(b.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}
