package helm

import (
	"context"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/pflag"
	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/registry"

	"github.com/kubectl-intercept/kubectl-intercept/chart"
)

// ChartSource says which chart to install.
type ChartSource struct {
	// Path is a folder, an archive or an oci:// reference; empty means the chart
	// that is part of the plugin.
	Path string
	// Version is a version or a range of versions; empty means whatever is there,
	// in a registry the latest.
	Version string
	// PlainHTTP and CAFile are about registries.
	PlainHTTP bool
	CAFile    string
}

// AddFlags adds the flags that fill it.
func (s *ChartSource) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&s.Path, "chart", "", "Chart to use instead of the built-in one: a directory, a packaged chart or an oci:// reference")
	flags.StringVar(&s.Version, "version", "",
		"Specify a version constraint for the chart version to use. This constraint can be a specific tag (e.g. 1.1.1) "+
			"or it may reference a valid range (e.g. ^2.0.0). If this is not specified, the latest version is used")
	flags.BoolVar(&s.PlainHTTP, "plain-http", false, "Use insecure HTTP connections for the chart download")
	flags.StringVar(&s.CAFile, "ca-file", "", "Verify certificates of HTTPS-enabled servers using this CA bundle, for the chart download")
}

// Chart is a loaded chart.
type Chart struct {
	chart *helmchart.Chart
	// defaults are its values. Helm changes those in chart.
	defaults map[string]any
}

// Version is the version of the traffic-manager that the chart installs.
func (c *Chart) Version() string { return c.chart.Metadata.AppVersion }

// LoadChart reads a chart.
func LoadChart(ctx context.Context, s ChartSource) (*Chart, error) {
	c, err := load(ctx, s)
	if err != nil {
		return nil, err
	}
	if c.Metadata.Name != ReleaseName {
		return nil, fmt.Errorf("load chart %s: it is the chart of %q, not of the %s", s.Path, c.Metadata.Name, ReleaseName)
	}
	if err := s.check(c.Metadata.Version); err != nil {
		return nil, err
	}
	return &Chart{chart: c, defaults: overlay(nil, c.Values)}, nil
}

func load(ctx context.Context, s ChartSource) (*helmchart.Chart, error) {
	if s.Path == "" {
		files, err := buffer(chart.FS())
		if err != nil {
			return nil, fmt.Errorf("load chart: %w", err)
		}
		c, err := loader.LoadFiles(files)
		if err != nil {
			return nil, fmt.Errorf("load chart: %w", err)
		}
		return c, nil
	}
	if registry.IsOCI(s.Path) {
		return pull(ctx, s)
	}
	if _, err := os.Stat(s.Path); err != nil {
		return nil, fmt.Errorf("load chart: %w; --chart takes a directory, a packaged chart or an oci:// reference", err)
	}
	c, err := loader.Load(s.Path)
	if err != nil {
		return nil, fmt.Errorf("load chart %s: %w", s.Path, err)
	}
	return c, nil
}

// check refuses a chart that is not of the version asked for: a folder or an
// archive has only one.
func (s ChartSource) check(version string) error {
	if s.Version == "" {
		return nil
	}
	if _, err := registry.GetTagMatchingVersionOrConstraint([]string{version}, s.Version); err == nil {
		return nil
	}
	if s.Path == "" {
		return fmt.Errorf("the built-in chart has version %s, not %s; --chart names one that has it, "+
			"and each version of the plugin brings its own", version, s.Version)
	}
	return fmt.Errorf("chart %s has version %s, not %s", s.Path, version, s.Version)
}

// buffer reads all files of a chart. Paths have forward slashes on every system,
// as Helm wants them.
func buffer(fsys fs.FS) ([]*loader.BufferedFile, error) {
	var files []*loader.BufferedFile
	err := fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(fsys, path)
		if err != nil {
			return err
		}
		files = append(files, &loader.BufferedFile{Name: path, Data: data})
		return nil
	})
	return files, err
}
