package status

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
)

// FailedProbe is a probe that failed in a pod while it was intercepted.
type FailedProbe struct {
	Pod string `json:"pod"`
	// Message is the kubelet's.
	Message string    `json:"message"`
	Count   int32     `json:"count"`
	Last    time.Time `json:"last"`
}

// mostProbes bounds what is shown of one intercept.
const mostProbes = 3

// unhealthy are the events that the kubelet writes in a namespace when a probe fails;
// none where the user may not read events.
func unhealthy(ctx context.Context, c client.Client, namespace string) []corev1.Event {
	var list corev1.EventList
	_ = c.List(ctx, &list, client.InNamespace(namespace), client.MatchingFields{"reason": "Unhealthy"})
	return list.Items
}

// failedProbes are those of an intercept's pods.
func failedProbes(events []corev1.Event, i *v1alpha1.Intercept) []FailedProbe {
	var failed []FailedProbe
	for _, e := range events {
		last := e.LastTimestamp.Time
		if last.IsZero() {
			last = e.EventTime.Time
		}
		of := e.InvolvedObject
		if e.Reason != "Unhealthy" || of.Kind != "Pod" || last.Before(i.CreationTimestamp.Time) ||
			!slices.ContainsFunc(i.Status.Pods, func(p v1alpha1.PodStatus) bool { return p.Name == of.Name }) {
			continue
		}
		failed = append(failed, FailedProbe{Pod: of.Name, Message: e.Message, Count: max(e.Count, 1), Last: last})
	}
	slices.SortFunc(failed, func(a, b FailedProbe) int { return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Pod, b.Pod)) })
	return failed[:min(len(failed), mostProbes)]
}

// probeRows say which probes failed: those of the kubelet should not notice an
// intercept.
func (i *Intercept) probeRows() []render.Row {
	var rows []render.Row
	for _, p := range i.Probes {
		rows = append(rows, render.Row{Label: "Probe failed", Value: fmt.Sprintf("%s (pod %s, %s, last at %s)",
			p.Message, p.Pod, times(int(p.Count)), p.Last.UTC().Format("2006-01-02 15:04:05 UTC"))})
	}
	return rows
}
