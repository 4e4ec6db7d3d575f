package chart_test

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/action"
	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/strvals"

	"github.com/kubectl-intercept/kubectl-intercept/chart"
	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
)

// kube is the oldest Kubernetes that the chart works with.
var kube = &chartutil.KubeVersion{Version: "v1.30.0", Major: "1", Minor: "30"}

// load returns the embedded chart.
func load(t *testing.T) *helmchart.Chart {
	t.Helper()
	var files []*loader.BufferedFile
	err := fs.WalkDir(chart.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(chart.FS(), path)
		files = append(files, &loader.BufferedFile{Name: path, Data: data})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := loader.LoadFiles(files)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// template renders the chart as `helm template` does.
func template(t *testing.T, namespace string, values map[string]any) (*release.Release, error) {
	t.Helper()
	install := action.NewInstall(&action.Configuration{Log: t.Logf})
	install.ClientOnly, install.DryRun = true, true
	install.ReleaseName, install.Namespace = "traffic-manager", namespace
	install.KubeVersion = kube
	return install.Run(load(t), values)
}

// render is template with values as --set takes them.
func render(t *testing.T, namespace string, set ...string) (string, error) {
	t.Helper()
	values := map[string]any{}
	for _, s := range set {
		if err := strvals.ParseInto(s, values); err != nil {
			t.Fatal(err)
		}
	}
	rel, err := template(t, namespace, values)
	if err != nil {
		return "", err
	}
	return rel.Manifest, nil
}

// profile is a file of testdata/profiles, for a release in a namespace.
type profile struct{ name, namespace string }

// profiles lists the files, the one without values first.
func profiles(t *testing.T) []profile {
	t.Helper()
	paths, err := filepath.Glob("testdata/profiles/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatal("no profiles", err)
	}
	var list []profile
	for _, path := range paths {
		p := profile{name: strings.TrimSuffix(filepath.Base(path), ".yaml"), namespace: "intercept-system"}
		if p.name == "two-managers" {
			p.namespace = "team-b"
		}
		if p.name == "default" {
			list = slices.Insert(list, 0, p) // others are compared with it
		} else {
			list = append(list, p)
		}
	}
	return list
}

func (p profile) values(t *testing.T) map[string]any {
	t.Helper()
	values, err := chartutil.ReadValuesFile(filepath.Join("testdata", "profiles", p.name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func (p profile) render(t *testing.T) *release.Release {
	t.Helper()
	rel, err := template(t, p.namespace, p.values(t))
	if err != nil {
		t.Fatal(err)
	}
	return rel
}

// TestLint is helm lint --strict, with the values of every profile.
func TestLint(t *testing.T) {
	for _, p := range profiles(t) {
		for _, m := range lint.AllWithKubeVersion(".", p.values(t), p.namespace, kube).Messages {
			if m.Severity > support.InfoSev {
				t.Errorf("%s: %v", p.name, m)
			}
		}
	}
}

func TestVersion(t *testing.T) {
	m := load(t).Metadata
	if m.Version != version.Version || m.AppVersion != version.Version {
		t.Errorf("Chart.yaml: version %s, appVersion %s; manager/version says %s", m.Version, m.AppVersion, version.Version)
	}
}

// The embedded chart is the one that helm reads from the folder.
func TestEmbedIsFolder(t *testing.T) {
	dir, err := loader.LoadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(raw(dir), raw(load(t))); diff != "" {
		t.Errorf("(-folder +embedded):\n%s", diff)
	}
}

func raw(c *helmchart.Chart) map[string]string {
	m := map[string]string{}
	for _, f := range c.Raw {
		m[f.Name] = string(f.Data)
	}
	return m
}
