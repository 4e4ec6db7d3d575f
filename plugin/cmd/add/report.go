package add

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
)

// report prints the result: with -o the object, otherwise what happened to
// which workload and the block that describes the intercept.
func (o *Options) report(ctx context.Context, i *v1alpha1.Intercept) error {
	o.progress.Done()
	if o.brief {
		i.SetGroupVersionKind(v1alpha1.GroupVersion().WithKind("Intercept"))
		return o.printer.PrintObj(i, o.Out)
	}
	workload := &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: i.Spec.Workload.APIVersion, Kind: i.Spec.Workload.Kind},
		ObjectMeta: metav1.ObjectMeta{Name: i.Spec.Workload.Name, Namespace: i.Namespace},
	}
	if err := o.printer.PrintObj(workload, o.Out); err != nil {
		return err
	}
	if o.DryRun != cmdutil.DryRunNone {
		return nil
	}
	shown := i.DeepCopy()
	if !o.Wait || len(shown.Status.Ports) == 0 {
		shown.Status.Ports = o.resolved
	}
	if err := render.Intercept(o.Out, shown); err != nil {
		return err
	}
	if o.Wait {
		o.warnIfSilent(ctx)
	}
	return nil
}

// warnUnserved tells about pods that callers do not come to, although they are
// intercepted.
func (o *Options) warnUnserved(i *v1alpha1.Intercept) {
	c := meta.FindStatusCondition(i.Status.Conditions, v1alpha1.ConditionPodsReady)
	if c == nil || c.Status != metav1.ConditionFalse {
		return
	}
	o.progress.Done()
	render.Warn(o.ErrOut, c.Message)
}

// warnIfSilent tells about local TCP ports on which nothing listens. UDP does
// not say.
func (o *Options) warnIfSilent(ctx context.Context) {
	for _, p := range o.Ports {
		if p.Protocol == corev1.ProtocolUDP {
			continue
		}
		if listens(ctx, p) {
			continue
		}
		then := "the application keeps answering"
		if o.NoFallback {
			then = "callers are refused"
		}
		render.Warn(o.ErrOut, fmt.Sprintf("nothing listens on %s yet; until something does, %s", render.Local(p.LocalHost, p.LocalPort, p.Protocol), then))
	}
}

// listens says that a program takes connections where the session looks for one:
// on localhost by either of its addresses.
func listens(ctx context.Context, p v1alpha1.InterceptPort) bool {
	hosts := []string{p.LocalHost}
	if p.LocalHost == "127.0.0.1" {
		hosts = append(hosts, "::1")
	}
	dialer := net.Dialer{Timeout: time.Second}
	return slices.ContainsFunc(hosts, func(host string) bool {
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(int(p.LocalPort))))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// maxEvents is how many events of the pods a time-out shows.
const maxEvents = 5

// explain shows conditions, pods and the last events of the pods: what to
// look at when it takes too long.
func (o *Options) explain(ctx context.Context, i *v1alpha1.Intercept) {
	if len(i.Status.Conditions) == 0 || i.Status.ObservedGeneration != i.Generation {
		fmt.Fprintf(o.ErrOut, "the traffic-manager has not seen the intercept yet: is it running in namespace %q?\n", o.factory.ManagerNamespace)
	}
	var rows [][]string
	for _, c := range i.Status.Conditions {
		rows = append(rows, []string{"condition", fmt.Sprintf("%s=%s", c.Type, c.Status), c.Reason, c.Message})
	}
	for _, p := range i.Status.Pods {
		rows = append(rows, []string{"pod", p.Name, string(p.State), p.Message})
	}
	for _, e := range o.events(ctx) {
		rows = append(rows, []string{"event", e.InvolvedObject.Name, e.Reason, fmt.Sprintf("%s (%s ago)", e.Message, duration.HumanDuration(time.Since(when(e))))})
	}
	_ = render.Table(o.ErrOut, nil, rows) // the error that follows matters
}

// events are the last of the workload's pods; none if they cannot be read.
func (o *Options) events(ctx context.Context) []corev1.Event {
	pods, err := o.workload.Pods(ctx, o.client)
	if err != nil {
		return nil
	}
	var list corev1.EventList
	if err := o.client.List(ctx, &list, client.InNamespace(o.namespace)); err != nil {
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
