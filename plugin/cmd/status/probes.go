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

// failedProbes are those of an intercept's pods since they were intercepted. Probes that fail
// in a pod which starts are not among them.
func failedProbes(ctx context.Context, c client.Client, events []corev1.Event, i *v1alpha1.Intercept) []FailedProbe {
	var failed []FailedProbe
	pods := map[string]*corev1.Pod{} // as they are, each read once
	for _, e := range events {
		last := e.LastTimestamp.Time
		if last.IsZero() {
			last = e.EventTime.Time
		}
		of := e.InvolvedObject
		k := slices.IndexFunc(i.Status.Pods, func(p v1alpha1.PodStatus) bool { return p.Name == of.Name })
		if e.Reason != "Unhealthy" || of.Kind != "Pod" || k < 0 || last.Before(i.CreationTimestamp.Time) ||
			!intercepted(&i.Status.Pods[k], last) {
			continue
		}
		if pods[of.Name] == nil {
			pods[of.Name] = &corev1.Pod{}
			_ = c.Get(ctx, client.ObjectKey{Namespace: i.Namespace, Name: of.Name}, pods[of.Name]) // it may be gone
		}
		if started(pods[of.Name], last) {
			continue
		}
		failed = append(failed, FailedProbe{Pod: of.Name, Message: e.Message, Count: max(e.Count, 1), Last: last})
	}
	slices.SortFunc(failed, func(a, b FailedProbe) int { return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Pod, b.Pod)) })
	return failed[:min(len(failed), mostProbes)]
}

// intercepted says that an agent had a port of the pod at that time.
func intercepted(p *v1alpha1.PodStatus, at time.Time) bool {
	return slices.ContainsFunc(p.Ports, func(port v1alpha1.PodPort) bool { return port.Since.Time.Before(at) })
}

// started says that a pod has become ready after that time, and that no container of it was
// restarted: it was starting.
func started(p *corev1.Pod, at time.Time) bool {
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if s.RestartCount > 0 {
			return false
		}
	}
	return slices.ContainsFunc(p.Status.Conditions, func(r corev1.PodCondition) bool {
		return r.Type == corev1.PodReady && r.Status == corev1.ConditionTrue && r.LastTransitionTime.After(at)
	})
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
