package controller

import (
	"context"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// Metrics is a collector of a metric about the Intercepts at the time of the scrape. The
// leader alone has it, so that a sum over all replicas is right:
//
//	traffic_manager_intercepts{mode="…",state="…"}
type Metrics struct {
	reader     client.Reader
	elected    <-chan struct{}
	intercepts *prometheus.Desc
}

// countTimeout bounds a list from the cache, which is only slow before it is filled.
const countTimeout = time.Second

// NewMetrics returns a collector that reads from a cache, once elected is closed.
func NewMetrics(r client.Reader, elected <-chan struct{}) *Metrics {
	return &Metrics{r, elected, prometheus.NewDesc("traffic_manager_intercepts",
		"Intercepts by mode and state; only the replica that leads has them.", []string{"mode", "state"}, nil)}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(c chan<- *prometheus.Desc) { c <- m.intercepts }

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(c chan<- prometheus.Metric) {
	select {
	case <-m.elected:
	default:
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), countTimeout)
	defer cancel()
	var list v1alpha1.InterceptList
	if err := m.reader.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		c <- prometheus.NewInvalidMetric(m.intercepts, err)
		return
	}
	counts := map[v1alpha1.InterceptMode]map[v1alpha1.InterceptState]int{}
	for _, mode := range modes() {
		counts[mode] = map[v1alpha1.InterceptState]int{v1alpha1.StateWaiting: 0, v1alpha1.StateActive: 0, v1alpha1.StateDisconnected: 0, v1alpha1.StateError: 0}
	}
	for i := range list.Items {
		mode, state := list.Items[i].Spec.Mode, list.Items[i].Status.State
		if counts[mode] == nil {
			mode = v1alpha1.ModeGlobal
		}
		if state == "" {
			state = v1alpha1.StateWaiting
		}
		counts[mode][state]++
	}
	for mode, states := range counts {
		for state, n := range states {
			c <- prometheus.MustNewConstMetric(m.intercepts, prometheus.GaugeValue, float64(n), strings.ToLower(string(mode)), strings.ToLower(string(state)))
		}
	}
}

func modes() []v1alpha1.InterceptMode {
	return []v1alpha1.InterceptMode{v1alpha1.ModeGlobal, v1alpha1.ModePersonal, v1alpha1.ModeMirror, v1alpha1.ModeIngest, v1alpha1.ModeReplace}
}
