package relay

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
)

// Metrics is a collector of metrics about a Relay at the time of the scrape. No label names a
// user, a session or a pod: there may be many, and whoever reads metrics need not know them.
//
//	traffic_manager_sessions                               sessions with a carrier at this replica
//	traffic_manager_carriers{transport="…",direction="…"}  carriers
//	traffic_manager_lines{state="…",direction="…"}         lines: idle, or assigned to an agent or this relay
//	traffic_manager_open_flows{way="…",direction="…"}      flows; those on inbound lines cannot be seen here
//	traffic_manager_flows_total{way="…",direction="…"}     flows that were opened
//	traffic_manager_flow_bytes_total{…,to="…"}             bytes of flows: to the laptop, or to the target
type Metrics struct {
	relay                                              *Relay
	sessions, carriers, lines, openFlows, flows, bytes *prometheus.Desc
}

// NewMetrics returns a collector of metrics about r.
func NewMetrics(r *Relay) *Metrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("traffic_manager_"+name, help, labels, nil)
	}
	return &Metrics{relay: r,
		sessions:  desc("sessions", "Sessions with a carrier at this replica."),
		carriers:  desc("carriers", "Carriers: connections of sessions that carry many flows.", "transport", "direction"),
		lines:     desc("lines", "Lines: connections of sessions that carry one flow after the other.", "state", "direction"),
		openFlows: desc("open_flows", "Flows that are open, but for those on lines between agent and session, which the relay cannot read.", "way", "direction"),
		flows:     desc("flows_total", "Flows that were opened, but for those on lines between agent and session.", "way", "direction"),
		bytes:     desc("flow_bytes_total", "Bytes of flows, encrypted ones on lines between agent and session.", "way", "direction", "to"),
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.sessions, m.carriers, m.lines, m.openFlows, m.flows, m.bytes} {
		c <- d
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(c chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, n int, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	count := func(d *prometheus.Desc, n int64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	in, out := handshake.Inbound.String(), handshake.Outbound.String()
	sessions, idle := m.relay.held()
	gauge(m.sessions, sessions)
	gauge(m.lines, idle, "idle", in)
	for _, d := range []string{in, out} {
		gauge(m.lines, int(m.relay.totals.flows[path{wayLine, d}].lines.Load()), "assigned", d)
	}
	for kind, n := range m.relay.totals.carried() {
		gauge(m.carriers, n, kind.transport, kind.direction)
	}
	for p, t := range m.relay.totals.flows {
		if !p.sealed() {
			gauge(m.openFlows, int(t.open.Load()), p.way, p.direction)
			count(m.flows, t.total.Load(), p.way, p.direction)
		}
		count(m.bytes, t.toLaptop.Load(), p.way, p.direction, "laptop")
		count(m.bytes, t.toTarget.Load(), p.way, p.direction, "target")
	}
}

// carried is how many carriers there are of each kind, also 0.
func (t *totals) carried() map[carrierKind]int {
	all := map[carrierKind]int{}
	for _, transport := range []string{directly, serviceProxy, portForward} {
		for _, d := range []handshake.Direction{handshake.Inbound, handshake.Outbound} {
			all[carrierKind{transport, d.String()}] = 0
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for kind, n := range t.carriers {
		all[kind] = n
	}
	return all
}

// held counts sessions, and their idle lines.
func (r *Relay) held() (sessions, idle int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.sessions {
		idle += len(s.lines.idle)
	}
	return len(r.sessions), idle
}
