package budget

import "github.com/prometheus/client_golang/prometheus"

// Metrics is a collector of metrics about a Budget at the time of the scrape:
//
//	traffic_manager_refusals_total{peer="…",reason="…"}   how often a kind of peer wanted too much of something
//	traffic_manager_in_use{peer="…",resource="…"}         how much all peers of a kind have now
type Metrics struct {
	budget          *Budget
	refusals, inUse *prometheus.Desc
}

// NewMetrics returns a collector of metrics about b.
func NewMetrics(b *Budget) *Metrics {
	return &Metrics{budget: b,
		refusals: prometheus.NewDesc("traffic_manager_refusals_total",
			"How often peers were refused, closed or made to wait because they were over their budget.", []string{"peer", "reason"}, nil),
		inUse: prometheus.NewDesc("traffic_manager_in_use",
			"What all peers of a kind have now of what is bounded for each.", []string{"peer", "resource"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(c chan<- *prometheus.Desc) {
	c <- m.refusals
	c <- m.inUse
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(c chan<- prometheus.Metric) {
	counts := m.budget.Refusals()
	for _, what := range m.budget.bounds() {
		counts[what] += 0 // so that a counter's growth is seen from the beginning
	}
	for what, n := range counts {
		c <- prometheus.MustNewConstMetric(m.refusals, prometheus.CounterValue, float64(n), string(what.Peer), what.Reason)
	}
	b := m.budget
	gauge := func(peer Peer, resource string, n int) {
		c <- prometheus.MustNewConstMetric(m.inUse, prometheus.GaugeValue, float64(n), string(peer), resource)
	}
	gauge(Stranger, "connections", b.Strangers.Len())
	for _, l := range []*Limit{b.Reviews, b.Connections, b.Watches, b.sessionFlows, b.sessionLines} {
		gauge(l.peer, l.things, l.inUse())
	}
}

// bounds are what peers may be refused because of.
func (b *Budget) bounds() []Refusal {
	all := []Refusal{{Stranger, "connections"}}
	for _, r := range []*Rate{b.Lookups, b.Enrollments, b.Hellos, b.Questions, b.Reports} {
		all = append(all, Refusal{r.peer, r.things})
	}
	for _, l := range []*Limit{b.Reviews, b.Connections, b.Watches, b.sessionFlows, b.userFlows, b.sessionLines, b.userLines} {
		all = append(all, Refusal{l.peer, l.things})
	}
	return all
}
