// Package chart holds the Helm chart of the traffic-manager, embedded, so that
// `kubectl intercept install` needs nothing but the plugin. The files here are
// an ordinary chart too: `helm install traffic-manager ./chart` does the same.
package chart

import (
	"embed"
	"io/fs"

	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
)

// files is everything that .helmignore leaves over. "all:" also takes names
// that begin with "_", as _helpers.tpl does.
//
//go:embed .helmignore Chart.yaml README.md values.yaml values.schema.json
//go:embed all:templates files
var files embed.FS

// FS returns the chart's files, Chart.yaml at the root. The chart has the version of the
// program that embeds it.
func FS() fs.FS { return release{files, version.Version} }
