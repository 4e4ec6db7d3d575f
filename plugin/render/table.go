package render

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Table prints rows in columns, as kubectl does: no lines, three spaces
// between. The header may be nil. A cell is one line.
func Table(w io.Writer, header []string, rows [][]string) error {
	if header != nil {
		rows = slices.Insert(slices.Clone(rows), 0, header)
	}
	columns := 0
	for _, row := range rows {
		columns = max(columns, len(row))
	}
	var text strings.Builder
	t := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	for _, row := range rows {
		for n := range columns { // a row with fewer cells would end the columns above it
			cell := ""
			if n < len(row) {
				cell = strings.Join(strings.FieldsFunc(row[n], func(r rune) bool { return strings.ContainsRune("\t\n\v\f\r", r) }), " ")
			}
			fmt.Fprint(t, cell, "\t")
		}
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(text.String()) {
		if _, err := io.WriteString(w, strings.TrimRight(line, " \n")+"\n"); err != nil {
			return err
		}
	}
	return nil
}
