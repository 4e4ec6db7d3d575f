package render

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Row is one line of a block.
type Row struct{ Label, Value string }

// Block prints rows with their colons in one column. Rows without a value are
// left out. Further lines of a value stand below it, a little to the right of the label.
func Block(w io.Writer, indent string, rows []Row) error {
	width := 0
	for _, r := range rows {
		if r.Value != "" {
			width = max(width, utf8.RuneCountInString(r.Label))
		}
	}
	for _, r := range rows {
		if r.Value == "" {
			continue
		}
		pad := strings.Repeat(" ", width-utf8.RuneCountInString(r.Label))
		if _, err := fmt.Fprintf(w, "%s%s%s: %s\n", indent, r.Label, pad, strings.ReplaceAll(r.Value, "\n", "\n"+indent+"  ")); err != nil {
			return err
		}
	}
	return nil
}
