// Package metrics registers collectors, and has the metric that is about none of the other
// packages: which program this is.
package metrics

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
)

// NewBuild returns a collector of traffic_manager_build_info, which is 1.
func NewBuild() prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "traffic_manager_build_info", Help: "1 for the version and the revision of this program.",
		ConstLabels: prometheus.Labels{"version": version.Version, "revision": version.Commit(), "go_version": runtime.Version()}})
	g.Set(1)
	return g
}

// Register registers collectors, and returns the first error.
func Register(r prometheus.Registerer, all ...prometheus.Collector) error {
	for _, c := range all {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}
