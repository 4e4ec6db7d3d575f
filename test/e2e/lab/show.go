//go:build linux

package lab

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// maxShown is how much of a log a failed test prints, in bytes.
const maxShown = 12 << 10

// showNamespace prints what a person would look at: intercepts, pods, events
// and the logs of agents and traffic-manager.
func (l *Lab) showNamespace(namespace string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var b strings.Builder
	var intercepts v1alpha1.InterceptList
	var sessions v1alpha1.SessionList
	var pods corev1.PodList
	for _, list := range []client.ObjectList{&intercepts, &pods} {
		if err := l.Client.List(ctx, list, client.InNamespace(namespace)); err != nil {
			fmt.Fprintln(&b, err)
		}
	}
	_ = l.Client.List(ctx, &sessions, client.InNamespace(ManagerNamespace)) // on an error, there are none to print
	for i := range intercepts.Items {
		intercepts.Items[i].ManagedFields = nil
		fmt.Fprintf(&b, "--- intercept\n%s", text(intercepts.Items[i]))
	}
	for _, s := range sessions.Items {
		fmt.Fprintf(&b, "--- session %s of %s\n%s", s.Name, s.Spec.User, text(s.Status))
	}
	for i := range pods.Items {
		l.showPod(ctx, &b, &pods.Items[i])
	}
	l.showEvents(ctx, &b, namespace)
	l.showManager(ctx, &b)
	l.Logf("=== what is in namespace %s\n%s", namespace, b.String())
}

func text(o any) string {
	y, err := yaml.Marshal(o)
	if err != nil {
		return err.Error()
	}
	return string(y)
}

func (l *Lab) showPod(ctx context.Context, b *strings.Builder, p *corev1.Pod) {
	fmt.Fprintf(b, "--- pod %s on %s, %s, %s\n", p.Name, p.Spec.NodeName, p.Status.PodIP, p.Status.Phase)
	for _, c := range append(p.Status.ContainerStatuses, p.Status.EphemeralContainerStatuses...) {
		fmt.Fprintf(b, "container %s ready=%t restarts=%d %s\n", c.Name, c.Ready, c.RestartCount, strings.TrimSpace(text(c.State)))
	}
	for _, c := range append(p.Spec.Containers, p.Spec.InitContainers...) {
		if strings.HasPrefix(c.Name, "traffic-agent") {
			fmt.Fprintf(b, "--- log of %s in %s\n%s", c.Name, p.Name, l.log(ctx, p, c.Name))
		}
	}
	for _, c := range p.Spec.EphemeralContainers {
		fmt.Fprintf(b, "--- log of %s in %s\n%s", c.Name, p.Name, l.log(ctx, p, c.Name))
	}
}

func (l *Lab) showEvents(ctx context.Context, b *strings.Builder, namespace string) {
	var events corev1.EventList
	if err := l.Client.List(ctx, &events, client.InNamespace(namespace)); err != nil {
		fmt.Fprintln(b, err)
	}
	for _, e := range events.Items {
		if e.Type == corev1.EventTypeWarning || e.ReportingController == "traffic-manager" {
			fmt.Fprintf(b, "event on %s/%s: %s %s\n", e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason, e.Message)
		}
	}
}

func (l *Lab) showManager(ctx context.Context, b *strings.Builder) {
	var pods corev1.PodList
	if err := l.Client.List(ctx, &pods, client.InNamespace(ManagerNamespace)); err != nil {
		fmt.Fprintln(b, err)
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		fmt.Fprintf(b, "--- log of %s (%s)\n%s", p.Name, p.Status.Phase, l.log(ctx, p, ""))
	}
}

// Log returns the log of a pod's only container since the test began.
func (l *Lab) Log(p *corev1.Pod) string {
	l.Helper()
	out, err := l.Kube.CoreV1().Pods(p.Namespace).GetLogs(p.Name, &corev1.PodLogOptions{
		SinceSeconds: ptr.To(int64(time.Since(l.began).Seconds()) + 1)}).DoRaw(l.Context())
	l.Must(err)
	return string(out)
}

// log returns the end of a container's log since the test began.
func (l *Lab) log(ctx context.Context, p *corev1.Pod, container string) string {
	out, err := l.Kube.CoreV1().Pods(p.Namespace).GetLogs(p.Name, &corev1.PodLogOptions{
		Container: container, SinceSeconds: ptr.To(int64(time.Since(l.began).Seconds()) + 1)}).DoRaw(ctx)
	if err != nil {
		return err.Error() + "\n"
	}
	return tail(string(bytes.TrimSpace(out))) + "\n"
}

func tail(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return "…" + s[len(s)-maxShown:]
}
