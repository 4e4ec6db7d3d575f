// Package rollout tells what a Deployment is waiting for while it is installed,
// upgraded or uninstalled, and why, when that does not come.
package rollout

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Watcher looks at one Deployment.
type Watcher struct {
	Client    kubernetes.Interface
	Namespace string
	Name      string
	// Out gets the lines.
	Out io.Writer
	// Interval between two looks; a second if it is 0.
	Interval time.Duration
}

// Follow runs do, which waits until the Deployment is ready, and prints a line
// whenever what it waits for changes. If do fails, Follow also returns what the
// pods say about it, in several lines: their events and the end of their logs.
func (w Watcher) Follow(ctx context.Context, do func(context.Context) error) (why string, err error) {
	return w.watch(ctx, w.coming, do)
}

// FollowAway is Follow for a do that waits until the Deployment is gone.
func (w Watcher) FollowAway(ctx context.Context, do func(context.Context) error) (why string, err error) {
	return w.watch(ctx, w.going, do)
}

// A look returns the line to print and, if something is not as it should be,
// why. Both are empty when nothing is waited for, or nothing is known, which is
// no reason to stop.
type look func(context.Context) (line, why string)

func (w Watcher) watch(ctx context.Context, look look, do func(context.Context) error) (string, error) {
	if w.Interval == 0 {
		w.Interval = time.Second
	}
	looking, stop := context.WithCancel(ctx)
	last := make(chan string, 1)
	go func() { last <- w.print(looking, look) }()
	err := do(ctx)
	stop()
	why := <-last
	if err == nil || ctx.Err() != nil {
		return "", err
	}
	// What was undone has no pods any more to ask; then the last look counts.
	if _, now := look(ctx); now != "" {
		why = now
	}
	return why, err
}

// print prints lines until ctx ends and returns the last reason it saw.
func (w Watcher) print(ctx context.Context, look look) (why string) {
	tick := time.NewTicker(w.Interval)
	defer tick.Stop()
	var last string
	for {
		select {
		case <-ctx.Done():
			return why
		case <-tick.C:
		}
		line, now := look(ctx)
		if ctx.Err() != nil {
			return why
		}
		if line != "" && line != last {
			fmt.Fprintln(w.Out, line)
			last = line
		}
		if now != "" {
			why = now
		}
	}
}

// coming looks at a Deployment that is to become ready.
func (w Watcher) coming(ctx context.Context) (line, why string) {
	d, err := w.Client.AppsV1().Deployments(w.Namespace).Get(ctx, w.Name, metav1.GetOptions{})
	if err != nil {
		return "", ""
	}
	want := int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	// Old replicas that are still there may be the ready ones.
	old := d.Status.Replicas - d.Status.UpdatedReplicas
	ready := max(0, min(d.Status.UpdatedReplicas, d.Status.ReadyReplicas-old))
	if d.Status.ObservedGeneration < d.Generation {
		ready = 0
	}
	if ready >= want && d.Status.Replicas == want {
		return "", ""
	}
	if ready >= want {
		return fmt.Sprintf("waiting for deployment/%s: %d old to end", w.Name, d.Status.Replicas-want), ""
	}
	line = fmt.Sprintf("waiting for deployment/%s: %d of %d ready", w.Name, ready, want)
	pod := worst(w.pods(ctx, d))
	if pod == nil {
		// A quota or a policy refuses the pod.
		if c := refusal(d); c != nil {
			return line + ", " + brief(c.Reason, c.Message), fmt.Sprintf("deployment/%s: %s: %s", w.Name, c.Reason, oneLine(c.Message))
		}
		return line, ""
	}
	events := w.events(ctx, pod)
	return fmt.Sprintf("%s, pod %s: %s", line, pod.Name, phase(pod, events)), w.explain(ctx, pod, events)
}

// going looks at a Deployment that is to be gone.
func (w Watcher) going(ctx context.Context) (line, why string) {
	d, err := w.Client.AppsV1().Deployments(w.Namespace).Get(ctx, w.Name, metav1.GetOptions{})
	if err != nil {
		return "", ""
	}
	line = fmt.Sprintf("waiting for deployment/%s to be gone", w.Name)
	pods, err := w.selected(ctx, d)
	if err != nil || len(pods) == 0 {
		return line, ""
	}
	pod := &pods[0]
	return fmt.Sprintf("%s: pod %s is %s", line, pod.Name, phase(pod, nil)), w.explain(ctx, pod, w.events(ctx, pod))
}

// pods returns those of the Deployment's last revision, as far as there are any,
// that are to stay.
func (w Watcher) pods(ctx context.Context, d *appsv1.Deployment) []corev1.Pod {
	list, err := w.selected(ctx, d)
	if err != nil {
		return nil
	}
	pods := slices.DeleteFunc(list, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
	slices.SortStableFunc(pods, func(a, b corev1.Pod) int {
		return b.CreationTimestamp.Compare(a.CreationTimestamp.Time)
	})
	return slices.DeleteFunc(pods, func(p corev1.Pod) bool {
		return p.Labels[appsv1.DefaultDeploymentUniqueLabelKey] != pods[0].Labels[appsv1.DefaultDeploymentUniqueLabelKey]
	})
}

func (w Watcher) selected(ctx context.Context, d *appsv1.Deployment) ([]corev1.Pod, error) {
	list, err := w.Client.CoreV1().Pods(w.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: metav1.FormatLabelSelector(d.Spec.Selector),
	})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}
