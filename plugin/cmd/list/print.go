package list

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
)

// printer prints rows in the form of -o.
type printer struct {
	format  string
	objects printers.ResourcePrinter // nil for a table
	table   printers.ResourcePrinter
}

func (f *Flags) printer() (printer, error) {
	p := printer{}
	if f.Print.OutputFormat != nil {
		p.format = *f.Print.OutputFormat
	}
	if p.human() {
		p.table = printers.NewTablePrinter(printers.PrintOptions{
			NoHeaders: f.NoHeaders, Wide: p.format == "wide", WithNamespace: f.AllNamespaces})
		return p, nil
	}
	var err error
	if strings.HasPrefix(p.format, "custom-columns") {
		p.objects, err = newColumnsPrinter(p.format, f.NoHeaders)
		return p, err
	}
	p.objects, err = f.Print.ToPrinter()
	return p, err
}

// human says whether people read it: the table, also the wide one.
func (p printer) human() bool { return p.format == "" || p.format == "wide" }

// all prints a whole list.
func (p printer) all(w io.Writer, rows []Workload) error {
	switch {
	case p.human():
		return p.table.PrintObj(table(rows, p.format == "wide", time.Now()), w)
	case p.format == "name":
		return p.each(w, rows)
	}
	return p.objects.PrintObj(&WorkloadList{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion().String(), Kind: "WorkloadList"}, Items: rows}, w)
}

// each prints one object after the other, as --watch does.
func (p printer) each(w io.Writer, rows []Workload) error {
	if p.human() {
		return p.all(w, rows)
	}
	for _, row := range rows {
		var obj runtime.Object = &row
		if p.format == "name" {
			// what one can say to `add` and to kubectl
			obj = &metav1.PartialObjectMetadata{
				TypeMeta:   metav1.TypeMeta{APIVersion: row.Workload.APIVersion, Kind: row.Workload.Kind},
				ObjectMeta: metav1.ObjectMeta{Name: row.Name, Namespace: row.Namespace}}
		}
		if err := p.objects.PrintObj(obj, w); err != nil {
			return err
		}
	}
	return nil
}

// table is the form kubectl's printer lays out. A workload with personal intercepts or mirrors has a
// line for each intercept.
func table(rows []Workload, wide bool, now time.Time) *metav1.Table {
	t := &metav1.Table{ColumnDefinitions: []metav1.TableColumnDefinition{
		{Name: "Name", Type: "string"},
		{Name: "State", Type: "string"},
		{Name: "Owner", Type: "string", Priority: 1},
		{Name: "Ports", Type: "string", Priority: 1},
		{Name: "Connections", Type: "string", Priority: 1},
		{Name: "Requests", Type: "string", Priority: 1},
		{Name: "Last Request", Type: "string", Priority: 1},
		{Name: "Preview", Type: "string", Priority: 1},
	}}
	add := func(w *Workload, message string, intercepts []v1alpha1.Intercept) {
		var owners, ports, connections, requests, last, previews []string
		for _, i := range intercepts {
			owners = append(owners, i.Spec.User)
			ports = append(ports, mapping(&i))
			connections = append(connections, soFar(i.Status.Connections))
			if i.Spec.Match != nil {
				requests = append(requests, taken(&i.Status))
			}
			last = append(last, lastRequest(&i, now))
			if url := render.PreviewURL(&i); url != "" {
				previews = append(previews, url)
			}
		}
		if !wide && len(previews) > 0 { // there is no column for it
			message += ", " + strings.TrimSuffix(strings.Join(previews, ", "), "/")
		}
		t.Rows = append(t.Rows, metav1.TableRow{
			Cells: []any{resolve.RefString(w.Workload), message, cell(owners), cell(ports), cell(connections), cell(requests), cell(last), cell(previews)},
			Object: runtime.RawExtension{Object: &metav1.PartialObjectMetadata{
				ObjectMeta: metav1.ObjectMeta{Name: w.Name, Namespace: w.Namespace}}},
		})
	}
	for _, row := range rows {
		if !slices.ContainsFunc(row.Intercepts, func(i v1alpha1.Intercept) bool { return i.Spec.Match != nil || mirrors(&i) }) {
			add(&row, row.Message, row.Intercepts)
			continue
		}
		for n := range row.Intercepts {
			one := row.Intercepts[n : n+1]
			add(&row, owners(one, row.user)+": "+takes(&one[0].Spec), one)
		}
	}
	return t
}

// taken is how many requests a personal intercept took, of how many that came, and how many
// met each of its conditions if there are several.
func taken(s *v1alpha1.InterceptStatus) string {
	m := s.Matching
	if m == nil || m.Requests == 0 {
		return soFar(s.Requests)
	}
	text := fmt.Sprintf("%d of %d", m.Taken, m.Requests)
	if len(m.Conditions) < 2 {
		return text
	}
	var met []string
	for _, c := range m.Conditions {
		met = append(met, strconv.FormatInt(c.Met, 10))
	}
	return text + " (met each condition: " + strings.Join(met, ", ") + ")"
}

// takes says in one line what an intercept takes.
func takes(spec *v1alpha1.InterceptSpec) string {
	if conditions := spec.Match.Conditions(); len(conditions) > 0 {
		return conditions.String()
	}
	return render.Taken(spec)
}

func cell(values []string) string {
	if len(values) == 0 {
		return "<none>"
	}
	return strings.Join(values, "; ")
}

// mapping is "http->127.0.0.1:8080" for each port.
func mapping(i *v1alpha1.Intercept) string {
	var all []string
	if len(i.Status.Ports) == 0 {
		for _, p := range i.Spec.Ports {
			all = append(all, p.Port+"->"+render.Local(p.LocalHost, p.LocalPort, p.Protocol))
		}
	}
	for _, p := range i.Status.Ports {
		all = append(all, resolve.Identifier(p)+"->"+render.Local(p.LocalHost, p.LocalPort, p.Protocol))
	}
	return strings.Join(all, ",")
}

// soFar never says a bare nought: nobody has called yet, which is news.
func soFar(n int64) string {
	if n == 0 {
		return "0 so far"
	}
	return strconv.FormatInt(n, 10)
}

func lastRequest(i *v1alpha1.Intercept, now time.Time) string {
	var last time.Time
	for _, p := range i.Status.Pods {
		if p.LastRequest != nil && p.LastRequest.After(last) {
			last = p.LastRequest.Time
		}
	}
	if last.IsZero() {
		return "never"
	}
	return duration.HumanDuration(now.Sub(last)) + " ago"
}
