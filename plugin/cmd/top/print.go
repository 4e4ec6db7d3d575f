package top

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/traffic"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
)

// orders are the values of --sort-by.
func orders() []string { return []string{"user", "host", "intercept", "flows", "bytes", "rate"} }

// order sorts entries. Those that are alike keep the order that Compare gives.
func order(list []traffic.Entry, by string) {
	slices.SortFunc(list, traffic.Compare)
	slices.SortStableFunc(list, func(a, b traffic.Entry) int {
		switch by {
		case "host":
			return cmp.Compare(a.Host, b.Host)
		case "intercept":
			return cmp.Compare(a.Intercept, b.Intercept)
		case "flows":
			return cmp.Compare(most(&b), most(&a))
		case "bytes":
			return cmp.Compare(b.Down+b.Up, a.Down+a.Up)
		case "rate":
			return cmp.Compare(b.DownRate+b.UpRate, a.DownRate+a.UpRate)
		}
		return 0
	})
}

// most is how many flows there are, or how many there are at most.
func most(e *traffic.Entry) int64 {
	if e.Flows != nil {
		return *e.Flows
	}
	return e.Lines
}

func (o *Options) print(r *traffic.Report) error {
	if len(r.Entries) == 0 {
		text := "No session has moved anything yet"
		if !r.Everybody {
			text = "Your sessions have moved nothing yet"
		}
		if o.Namespace != "" {
			text += fmt.Sprintf(" for intercepts in namespace %q", o.Namespace)
		}
		if !r.Everybody {
			text += ". To see those of others, you need the right to list sessions in the traffic-manager's namespace"
		}
		_, err := fmt.Fprintln(o.ErrOut, text)
		return err
	}
	header := []string{"USER", "HOST", "INTERCEPT", "DIRECTION", "WAY", "FLOWS", "DOWN", "DOWN/S", "UP", "UP/S"}
	if o.NoHeaders {
		header = nil
	}
	var rows [][]string
	for _, e := range r.Entries {
		flows := strconv.FormatInt(most(&e), 10)
		if e.Flows == nil {
			flows = "≤" + flows
		}
		rows = append(rows, []string{e.User, cmp.Or(e.Host, "-"), cmp.Or(e.Intercept, "-"), e.Direction, e.Way + "/" + e.Transport, flows,
			size(e.Down), size(e.DownRate), size(e.Up), size(e.UpRate)})
	}
	return render.Table(o.Out, header, rows)
}

// size is a number of bytes with three digits, as Kubernetes writes quantities.
func size(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10)
	}
	value, unit := float64(n), ""
	for _, unit = range []string{"Ki", "Mi", "Gi", "Ti", "Pi"} {
		if value /= 1024; value < 1023.5 {
			break
		}
	}
	digits := 0
	if value < 9.95 {
		digits = 1
	}
	return strconv.FormatFloat(value, 'f', digits, 64) + unit
}
