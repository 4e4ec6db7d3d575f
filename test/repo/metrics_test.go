package repo

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kubectl-intercept/kubectl-intercept/manager/agents"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/budget"
	"github.com/kubectl-intercept/kubectl-intercept/manager/controller"
	"github.com/kubectl-intercept/kubectl-intercept/manager/inject"
	"github.com/kubectl-intercept/kubectl-intercept/manager/license"
	"github.com/kubectl-intercept/kubectl-intercept/manager/metrics"
	"github.com/kubectl-intercept/kubectl-intercept/manager/relay"
)

// labels of metrics are these. None has a value for each user, session, pod, workload or
// namespace: what is measured would grow with the cluster, and tell whoever reads it of people.
var metricLabels = []string{"direction", "go_version", "kind", "mode", "outcome", "peer", "reason", "resource", "revision", "state", "to", "transport", "version", "way"}

// units are how names end. Gauges of things are named for the things.
var units = []string{"total", "seconds", "bytes", "ratio", "info",
	"agents", "carriers", "flows", "intercepts", "lines", "sessions",
	"state",  // an enumeration: 1 for the one that is
	"in_use", // of what the label "resource" says
}

// collectors are all that the traffic-manager registers.
func collectors(t *testing.T, r prometheus.Registerer) []prometheus.Collector {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	objects := fake.NewClientBuilder().WithScheme(scheme).Build()
	rel, err := relay.New(relay.Config{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inject.NewMetrics(r); err != nil {
		t.Fatal(err)
	}
	elected := make(chan struct{})
	close(elected)
	return []prometheus.Collector{metrics.NewBuild(), budget.NewMetrics(budget.New(log)), relay.NewMetrics(rel),
		agents.NewMetrics(agents.New(log, nil, nil, objects, objects, objects, "", time.Minute)),
		controller.NewMetrics(objects, elected), license.NewMetrics(license.NewChecker(license.Options{}, objects, log))}
}

// Metrics are named as Prometheus wants it, say what they are, and have no label with a value
// for each person. The list in the chart's README is all of them.
func TestMetrics(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	all := collectors(t, r)
	if err := metrics.Register(r, all...); err != nil {
		t.Fatal(err)
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	described := map[string]bool{}
	for _, f := range families {
		described[f.GetName()] = true
		for _, m := range f.Metric {
			for _, l := range m.Label {
				label(t, f.GetName(), l.GetName())
			}
		}
	}
	// Some are absent now, as when there is no license.
	for _, c := range all {
		descs := make(chan *prometheus.Desc, 100)
		c.Describe(descs)
		close(descs)
		for d := range descs {
			m := regexp.MustCompile(`fqName: "([^"]*)", help: "([^"]*)".*variableLabels: \{([^}]*)\}`).FindStringSubmatch(d.String())
			if m == nil || m[2] == "" {
				t.Errorf("no help: %s", d)
				continue
			}
			described[m[1]] = true
			for l := range strings.FieldsFuncSeq(m[3], func(r rune) bool { return r == ',' }) {
				label(t, m[1], l)
			}
		}
	}
	readme, err := os.ReadFile("../../chart/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range described {
		if !strings.HasPrefix(name, "traffic_manager_") || !slices.ContainsFunc(units, func(u string) bool { return strings.HasSuffix(name, "_"+u) }) {
			t.Errorf("%s ends in no unit, nor in _total", name)
		}
		if !strings.Contains(string(readme), fmt.Sprintf("| `%s` |", name)) {
			t.Errorf("chart/README.md does not list the metric %s", name)
		}
	}
	for name := range named(t) {
		if !described[name] {
			t.Errorf("the sources name the metric %s, which this test does not gather", name)
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(traffic_manager_[a-z_]+)` \\|").FindAllStringSubmatch(string(readme), -1) {
		if !described[m[1]] {
			t.Errorf("chart/README.md lists the metric %s, which there is not", m[1])
		}
	}
}

func label(t *testing.T, metric, name string) {
	t.Helper()
	if !slices.Contains(metricLabels, name) {
		t.Errorf("%s has the label %q, which is none of %v", metric, name, metricLabels)
	}
}

// named are the metrics that sources of the traffic-manager name.
func named(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := filepath.WalkDir("../../manager", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`traffic_manager_[a-z_]*[a-z]`).FindAllString(string(text), -1) {
			names[m] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
