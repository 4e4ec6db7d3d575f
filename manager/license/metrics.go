package license

import (
	"github.com/prometheus/client_golang/prometheus"

	api "github.com/kubectl-intercept/kubectl-intercept/manager/api/license"
)

// Metrics is a collector of metrics about the license at the time of the scrape:
//
//	traffic_manager_license_state{state="…"}           1 for the license's state, 0 for other states
//	traffic_manager_license_expiry_timestamp_seconds   when the license expires, in Unix time; absent without a license
type Metrics struct {
	checker       *Checker
	state, expiry *prometheus.Desc
}

// NewMetrics returns a collector of metrics about the Checker's license.
func NewMetrics(c *Checker) *Metrics {
	return &Metrics{checker: c,
		state: prometheus.NewDesc("traffic_manager_license_state",
			"1 for the state that the license is in.", []string{"state"}, nil),
		expiry: prometheus.NewDesc("traffic_manager_license_expiry_timestamp_seconds",
			"When the license ends, in Unix time.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(c chan<- *prometheus.Desc) {
	c <- m.state
	c <- m.expiry
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(c chan<- prometheus.Metric) {
	r := m.checker.Report()
	for _, s := range api.States() {
		is := 0.0
		if s == r.State {
			is = 1
		}
		c <- prometheus.MustNewConstMetric(m.state, prometheus.GaugeValue, is, string(s))
	}
	if r.ValidUntil != nil {
		c <- prometheus.MustNewConstMetric(m.expiry, prometheus.GaugeValue, float64(r.ValidUntil.Unix()))
	}
}
