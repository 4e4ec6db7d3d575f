package agents

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// Kinds of agents, as metrics spell them.
const (
	kindEphemeral = "ephemeral"
	kindSidecar   = "sidecar"
	kindStandIn   = "stand-in"
)

// Metrics is a collector of a metric about a Server at the time of the scrape:
//
//	traffic_manager_agents{kind="…",state="…"}  agents with a control stream to this replica
type Metrics struct {
	server *Server
	agents *prometheus.Desc
}

// NewMetrics returns a collector of metrics about s.
func NewMetrics(s *Server) *Metrics {
	return &Metrics{s, prometheus.NewDesc("traffic_manager_agents",
		"Agents with a control stream to this replica, by their worst port. An idle one has none.", []string{"kind", "state"}, nil)}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(c chan<- *prometheus.Desc) { c <- m.agents }

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(c chan<- prometheus.Metric) {
	counts := m.server.status.count()
	for _, kind := range []string{kindEphemeral, kindSidecar, kindStandIn} {
		for _, state := range []v1alpha1.PodState{v1alpha1.PodIdle, v1alpha1.PodVerifying, v1alpha1.PodActive, v1alpha1.PodError} {
			c <- prometheus.MustNewConstMetric(m.agents, prometheus.GaugeValue, float64(counts[agentKind{kind, state}]), kind, strings.ToLower(string(state)))
		}
	}
}

type agentKind struct {
	kind  string
	state v1alpha1.PodState
}

// count counts the agents that are connected.
func (w *statusWriter) count() map[agentKind]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	counts := map[agentKind]int{}
	for a := range w.agents {
		if a.left.IsZero() {
			counts[agentKind{a.kind(), a.state()}]++
		}
	}
	return counts
}

func (a *agent) kind() string {
	switch {
	case a.container != "":
		return kindStandIn
	case a.sidecar:
		return kindSidecar
	}
	return kindEphemeral
}

// state is that of the port or container that is least far; idle without any.
func (a *agent) state() v1alpha1.PodState {
	all := map[v1alpha1.PodState]bool{}
	for _, p := range a.routes {
		all[podState(p.State)] = true
	}
	for _, p := range a.pauses {
		all[podState(p.State)] = true
	}
	for _, s := range []v1alpha1.PodState{v1alpha1.PodError, v1alpha1.PodVerifying, v1alpha1.PodActive} {
		if all[s] {
			return s
		}
	}
	return v1alpha1.PodIdle
}
