package check

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/check"
)

// printer writes results as they come, a line for each and another for what
// to do.
type printer struct {
	out      io.Writer
	category string
}

func (p *printer) result(category string, r check.Result) {
	if category != p.category {
		if p.category != "" {
			fmt.Fprintln(p.out)
		}
		fmt.Fprintln(p.out, category)
		p.category = category
	}
	line := mark(r.Status) + " " + cmp.Or(r.Says, r.Check)
	if r.Detail != "" {
		line += ": " + strings.ReplaceAll(r.Detail, "\n", "; ")
	}
	fmt.Fprintln(p.out, line)
	if r.Hint != "" {
		fmt.Fprintln(p.out, "    → "+r.Hint)
	}
}

func (p *printer) summary(r *check.Report) {
	var parts []string
	for _, s := range []check.Status{check.OK, check.Warning, check.Failed, check.Skipped} {
		if n := r.Count(s); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, mark(s)))
		}
	}
	verdict := "all is in order"
	switch {
	case !r.Success:
		verdict = "something has to be mended"
	case r.Count(check.Warning) > 0:
		verdict = "in order, with something worth knowing"
	}
	fmt.Fprintf(p.out, "\n%s: %s\n", verdict, strings.Join(parts, ", "))
}

func mark(s check.Status) string {
	switch s {
	case check.OK:
		return "√"
	case check.Warning:
		return "‼"
	case check.Failed:
		return "×"
	}
	return "-"
}
