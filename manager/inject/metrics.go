package inject

import "github.com/prometheus/client_golang/prometheus"

// Outcome is what became of an attempt to bring an agent into a pod.
type Outcome string

// The outcomes.
const (
	Injected Outcome = "injected"
	Skipped  Outcome = "skipped" // nobody wants an agent in the pod
	Refused  Outcome = "refused"
)

// Ways into a pod.
const (
	ByWebhook = "sidecar"
	ByPatch   = "ephemeral"
)

// Metrics counts attempts to bring an agent into a pod:
//
//	traffic_manager_injections_total{way="…",outcome="…"}
//
// A nil Metrics counts nothing.
type Metrics struct{ attempts *prometheus.CounterVec }

// NewMetrics returns a Metrics that r knows.
func NewMetrics(r prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{prometheus.NewCounterVec(prometheus.CounterOpts{Name: "traffic_manager_injections_total",
		Help: "Pods that got an agent, that nobody wants one in, and that were refused one."}, []string{"way", "outcome"})}
	for _, o := range []Outcome{Injected, Skipped, Refused} {
		m.attempts.WithLabelValues(ByWebhook, string(o))
	}
	for _, o := range []Outcome{Injected, Refused} { // a patch brings an agent that is wanted
		m.attempts.WithLabelValues(ByPatch, string(o))
	}
	return m, r.Register(m.attempts)
}

// Count counts an attempt.
func (m *Metrics) Count(way string, o Outcome) {
	if m != nil {
		m.attempts.WithLabelValues(way, string(o)).Inc()
	}
}
