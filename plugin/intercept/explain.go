package intercept

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
)

// maxEvents is how many events of the pods a time-out shows.
const maxEvents = 5

// explain prints conditions, pods and the pods' last events: where to look when an
// intercept takes too long.
func (m *maker) explain(ctx context.Context, i *v1alpha1.Intercept) {
	if len(i.Status.Conditions) == 0 || i.Status.ObservedGeneration != i.Generation {
		fmt.Fprintf(m.ErrOut, "the traffic-manager has not seen the intercept yet: is it running in namespace %q?\n", m.Factory.ManagerNamespace)
	}
	var rows [][]string
	for _, c := range i.Status.Conditions {
		rows = append(rows, []string{"condition", fmt.Sprintf("%s=%s", c.Type, c.Status), c.Reason, c.Message})
	}
	for _, p := range i.Status.Pods {
		rows = append(rows, []string{"pod", p.Name, string(p.State), p.Message})
	}
	for _, e := range m.events(ctx) {
		rows = append(rows, []string{"event", e.InvolvedObject.Name, e.Reason, fmt.Sprintf("%s (%s ago)", e.Message, duration.HumanDuration(time.Since(when(e))))})
	}
	_ = render.Table(m.ErrOut, nil, rows) // the error that follows matters
}

// events are the last events of the workload's pods. There are none if the user may not
// read them.
func (m *maker) events(ctx context.Context) []corev1.Event {
	pods, err := m.workload.Pods(ctx, m.client)
	if err != nil {
		return nil
	}
	var list corev1.EventList
	if err := m.client.List(ctx, &list, client.InNamespace(m.Namespace)); err != nil {
		return nil
	}
	events := slices.DeleteFunc(list.Items, func(e corev1.Event) bool {
		return e.InvolvedObject.Kind != "Pod" || !slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.Name == e.InvolvedObject.Name })
	})
	slices.SortStableFunc(events, func(a, b corev1.Event) int { return cmp.Compare(when(a).UnixNano(), when(b).UnixNano()) })
	return events[max(0, len(events)-maxEvents):]
}

func when(e corev1.Event) time.Time {
	if !e.LastTimestamp.IsZero() {
		return e.LastTimestamp.Time
	}
	if !e.EventTime.IsZero() {
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}
