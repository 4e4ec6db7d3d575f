package repo

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// reporters are libraries that send figures or faults to somebody.
var reporters = []string{"go.opentelemetry.io/otel/exporters", "go.opentelemetry.io/otel/sdk", "golang.org/x/telemetry", "contrib.go.opencensus.io",
	"github.com/getsentry", "github.com/posthog", "github.com/segmentio", "github.com/DataDog", "github.com/newrelic", "github.com/honeycombio",
	"github.com/bugsnag", "github.com/mixpanel", "github.com/amplitude", "github.com/rollbar", "github.com/prometheus/client_golang/prometheus/push"}

// hosts are what texts of the programs name outside of the cluster: for people to read, and the
// API's own name. No program asks them by itself. A name without a dot is the cluster's, as in
// examples, or stands for a unix socket.
var hosts = regexp.MustCompile(`^([^.]*|127\.0\.0\.1|198\.51\.100\.1|(.*\.)?kubectl-intercept\.dev|github\.com|(.*\.)?kubernetes\.io|(.*\.)?example(\.com|\.org)?|www\.wintun\.net|.*[%$].*|[A-Z./]+)$`)

// No telemetry leaves the cluster, or the laptop: no program links a library that sends any, and
// none has the address of somebody to whom it could.
func TestNoTelemetry(t *testing.T) {
	for _, program := range []string{"./plugin", "./manager", "./agent", "./netd"} {
		for _, system := range systems {
			if system != "linux" && program != "./plugin" && program != "./netd" {
				continue
			}
			for _, p := range linkedOn(t, system, program) {
				if slices.ContainsFunc(reporters, func(dir string) bool { return within(p.ImportPath, dir) }) {
					t.Errorf("%s: %s links %s", system, program, p.ImportPath)
				}
			}
		}
	}
	for _, p := range mustPackages(t) {
		folder, _, _ := strings.Cut(p.name(), "/")
		if !slices.Contains([]string{"plugin", "manager", "agent", "netd"}, folder) {
			continue
		}
		for _, name := range p.GoFiles {
			path := filepath.Join(p.Dir, name)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, text, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				literal, ok := n.(*ast.BasicLit)
				if !ok || literal.Kind != token.STRING {
					return true
				}
				for _, address := range regexp.MustCompile(`https?://[^\s"'`+"`"+`)\\]*`).FindAllString(literal.Value, -1) {
					u, err := url.Parse(address)
					if err == nil && !hosts.MatchString(u.Hostname()) {
						t.Errorf("%s/%s names %s", p.name(), name, address)
					}
				}
				return true
			})
		}
	}
}
