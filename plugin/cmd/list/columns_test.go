package list

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

func rows() []Workload {
	row := func(name string, ports ...int32) Workload {
		w := newRow("default", v1alpha1.WorkloadReference{APIVersion: "apps/v1", Kind: "Deployment", Name: name})
		for _, p := range ports {
			i := v1alpha1.Intercept{ObjectMeta: metav1.ObjectMeta{Name: name}}
			i.Spec.Ports = []v1alpha1.InterceptPort{{LocalPort: p}}
			i.Status.Connections = 12345678
			w.Intercepts = append(w.Intercepts, i)
		}
		return w
	}
	return []Workload{row("quote", 8080, 9090), row("cart")}
}

func TestColumns(t *testing.T) {
	file := filepath.Join(t.TempDir(), "columns")
	if err := os.WriteFile(file, []byte("NAME    KIND\n.metadata.name  {.workload.kind}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for format, want := range map[string]string{
		"custom-columns=NAME:.metadata.name,PORT:{.intercepts[*].spec.ports[0].localPort}": "NAME    PORT\nquote   8080,9090\ncart    <none>\n",
		"custom-columns=NAME:metadata.name":                                                "NAME\nquote\ncart\n",
		"custom-columns=N:.intercepts[0].status.connections":                               "N\n12345678\n<none>\n",
		"custom-columns-file=" + file:                                                      "NAME    KIND\nquote   Deployment\ncart    Deployment\n",
	} {
		for _, bare := range []bool{false, true} {
			p, err := newColumnsPrinter(format, bare)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := p.PrintObj(&WorkloadList{Items: rows()}, &out); err != nil {
				t.Fatal(err)
			}
			expected := want
			if bare {
				_, expected, _ = strings.Cut(want, "\n")
			}
			if trim(out.String()) != trim(expected) {
				t.Errorf("%s, without headings %t:\n%s", format, bare, &out)
			}
		}
	}
}

// trim leaves one space between cells: how wide they are is the printer's matter.
func trim(s string) string {
	var lines []string
	for line := range strings.Lines(s) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(lines, "\n")
}

func TestColumnsOfObjectsHaveOneHeading(t *testing.T) {
	p, err := newColumnsPrinter("custom-columns=NAME:.metadata.name", false)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, row := range rows() {
		if err := p.PrintObj(&row, &out); err != nil {
			t.Fatal(err)
		}
	}
	if got := out.String(); got != "NAME\nquote\ncart\n" {
		t.Errorf("%q", got)
	}
}

func TestBadColumns(t *testing.T) {
	file := filepath.Join(t.TempDir(), "columns")
	if err := os.WriteFile(file, []byte("NAME KIND\n.metadata.name\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for format, want := range map[string]string{
		"custom-columns":              "write custom-columns=HEADING:PATH",
		"custom-columns=":             `"" is no column`,
		"custom-columns=NAME":         `"NAME" is no column: write HEADING:PATH`,
		"custom-columns=NAME:":        `the column "NAME" has no path`,
		"custom-columns=NAME:.a[":     `the path ".a["`,
		"custom-columns-file=" + file: "it has 2 headings and 1 paths",
		"custom-columns-file=/none":   "read the columns: ",
	} {
		if _, err := newColumnsPrinter(format, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", format, err)
		}
	}
}
