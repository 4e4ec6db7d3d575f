package agents

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/status"
)

const (
	// leftLife is how long an agent that disconnected is remembered: the cache may still
	// show what it reported.
	leftLife = time.Minute
	// checkPause is the pause after a change before an Intercept is compared with the
	// reports. Most changes are right. And a replica that has not noticed that its agent
	// connected to another one must not overwrite that one's reports again and again at
	// full speed.
	checkPause = 500 * time.Millisecond
	// maxMessage, maxVersion and maxName bound what an agent says, in bytes. The API server
	// refuses a status with a message of more than 32 KiB, and with it all the rest. No
	// container has a longer name.
	maxMessage, maxVersion, maxName = 1 << 10, 64, 63
)

// agent is one connection of an agent, and its last report. An agent that has
// disconnected reports nothing.
type agent struct {
	pod       pki.Pod
	sidecar   bool
	container string // beside which it is; empty for an agent that has ports
	version   string
	since     metav1.MicroTime
	routes    []*rpc.RouteReport
	pauses    []*rpc.PauseReport
	left      time.Time
}

// statusWriter turns reports into status.pods. It does not remember what it has
// written. Whenever a report arrives or an Intercept changes, it compares the
// Intercept's entries with the reports of the agents that are connected here, and
// rewrites those that differ. It leaves the entries of other agents alone.
type statusWriter struct {
	log    *slog.Logger
	reader client.Reader
	writer client.StatusClient
	wake   chan struct{}

	mu     sync.Mutex
	agents map[*agent]bool
	dirty  map[string]bool // namespaces to compare now
	checks map[string]bool // namespaces to compare after checkPause
	failed map[string]int  // namespaces in which writes failed, and how often in a row
	held   map[string]bool // those of them that wait before the next try
}

func newStatusWriter(log *slog.Logger, reader client.Reader, writer client.StatusClient) *statusWriter {
	return &statusWriter{log: log, reader: reader, writer: writer, wake: make(chan struct{}, 1),
		agents: map[*agent]bool{}, dirty: map[string]bool{}, checks: map[string]bool{}, failed: map[string]int{}, held: map[string]bool{}}
}

// connect adds an agent, with its first report. The time of its connection is later than
// that of every known connection of the pod's agent, whatever the clocks of replicas say.
func (w *statusWriter) connect(ctx context.Context, p pki.Pod, first *rpc.AgentReport) *agent {
	since := time.Now().UTC().Truncate(time.Microsecond)
	after := func(t time.Time) {
		if !since.After(t) {
			since = t.UTC().Add(time.Microsecond)
		}
	}
	var list v1alpha1.InterceptList
	if err := w.reader.List(ctx, &list, client.InNamespace(p.Namespace)); err != nil {
		w.log.Warn("list intercepts", "namespace", p.Namespace, "error", err)
	}
	for _, ic := range list.Items {
		for _, s := range ic.Status.Pods {
			for _, port := range s.Ports {
				if string(s.UID) == p.UID && port.Sidecar == first.Sidecar && first.Container == "" {
					after(port.Since.Time)
				}
			}
			if c := s.Container; c != nil && string(s.UID) == p.UID && c.Name == first.Container {
				after(c.Since.Time)
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for other := range w.agents {
		if other.pod.UID == p.UID && other.sidecar == first.Sidecar && other.container == first.Container {
			after(other.since.Time)
		}
	}
	a := &agent{pod: p, sidecar: first.Sidecar, container: short(first.Container, maxName), version: short(first.Version, maxVersion), since: metav1.NewMicroTime(since)}
	a.says(first)
	w.agents[a] = true
	w.mark(p.Namespace)
	return a
}

func (w *statusWriter) disconnect(a *agent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a.routes, a.pauses, a.left = nil, nil, time.Now()
	w.mark(a.pod.Namespace)
}

func (w *statusWriter) report(a *agent, r *rpc.AgentReport) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a.says(r)
	w.mark(a.pod.Namespace)
}

// changed says that an Intercept of the namespace has changed.
func (w *statusWriter) changed(namespace string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.checks[namespace] {
		return
	}
	for a := range w.agents {
		if a.pod.Namespace == namespace {
			w.checks[namespace] = true
			time.AfterFunc(checkPause, func() { w.check(namespace) })
			return
		}
	}
}

func (w *statusWriter) check(namespace string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.checks, namespace)
	w.mark(namespace)
}

// mark has the Intercepts of a namespace compared; the caller holds w.mu.
func (w *statusWriter) mark(namespace string) {
	w.dirty[namespace] = true
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *statusWriter) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
		}
		for _, namespace := range w.todo() {
			w.settle(ctx, namespace)
		}
	}
}

// todo takes the namespaces that are to be compared, and forgets agents that
// disconnected long ago.
func (w *statusWriter) todo() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for a := range w.agents {
		if !a.left.IsZero() && time.Since(a.left) > leftLife {
			delete(w.agents, a)
		}
	}
	var list []string
	for namespace := range w.dirty {
		if !w.held[namespace] {
			list = append(list, namespace)
			delete(w.dirty, namespace)
		}
	}
	return list
}

// settle writes the Intercepts of a namespace that differ from the reports, and
// compares again after a pause if one could not be written. Reports that come meanwhile
// wait too.
func (w *statusWriter) settle(ctx context.Context, namespace string) {
	var list v1alpha1.InterceptList
	err := w.reader.List(ctx, &list, client.InNamespace(namespace))
	for i := range list.Items {
		if werr := w.write(ctx, &list.Items[i]); werr != nil && (err == nil || apierrors.IsConflict(err)) {
			err = werr
		}
	}
	if err != nil && !apierrors.IsConflict(err) {
		w.log.Warn("write status", "namespace", namespace, "error", err)
	}
	w.settled(namespace, err)
}

func (w *statusWriter) write(ctx context.Context, ic *v1alpha1.Intercept) error {
	pods, all := w.merged(ic), v1alpha1.Counters{}
	for _, p := range pods {
		all.Add(p.Counters)
	}
	_, err := status.Write(ctx, w.writer, ic, func(s *v1alpha1.InterceptStatus) {
		s.Pods, s.Connections, s.Requests, s.Matching = pods, all.Connections, all.Requests, w.matching(ic, pods)
	})
	return client.IgnoreNotFound(err)
}

// merged are an Intercept's entries with the reports of this replica's agents, the latest
// connection last.
func (w *statusWriter) merged(ic *v1alpha1.Intercept) []v1alpha1.PodStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	var reporting []*agent
	for a := range w.agents {
		if a.pod.Namespace == ic.Namespace {
			reporting = append(reporting, a)
		}
	}
	slices.SortFunc(reporting, func(a, b *agent) int { return a.since.Compare(b.since.Time) })
	pods := slices.Clone(ic.Status.Pods)
	for _, a := range reporting {
		k := slices.IndexFunc(pods, func(p v1alpha1.PodStatus) bool { return p.Name == a.pod.Name })
		if k < 0 {
			k = len(pods)
			pods = append(pods, v1alpha1.PodStatus{Name: a.pod.Name})
		}
		if a.container != "" {
			a.rewriteContainer(&pods[k], ic)
		} else {
			a.rewrite(&pods[k], ic)
		}
		if len(pods[k].Ports) == 0 && pods[k].Container == nil {
			pods = slices.Delete(pods, k, k+1)
		}
	}
	slices.SortFunc(pods, func(a, b v1alpha1.PodStatus) int { return cmp.Compare(a.Name, b.Name) })
	return pods
}

// rewrite replaces what an earlier connection of the pod's agent reported, of the same
// kind of agent. It changes nothing if a later connection reported.
func (a *agent) rewrite(s *v1alpha1.PodStatus, ic *v1alpha1.Intercept) {
	same := string(s.UID) == a.pod.UID
	for _, p := range s.Ports {
		if (p.Sidecar == a.sidecar || !same) && p.Since.After(a.since.Time) {
			return
		}
	}
	var ports []v1alpha1.PodPort
	for _, p := range s.Ports {
		if same && p.Sidecar != a.sidecar {
			ports = append(ports, p)
		}
	}
	for _, p := range a.routes {
		if p.InterceptUid == string(ic.UID) {
			port := a.port(p)
			port.Comparison = comparison(ic, p)
			ports = append(ports, port)
		}
	}
	slices.SortFunc(ports, func(a, b v1alpha1.PodPort) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol))
	})
	if !same {
		s.Container = nil
	}
	*s = sum(a.pod, ports, s.Container)
}

func (a *agent) port(p *rpc.RouteReport) v1alpha1.PodPort {
	out := v1alpha1.PodPort{Port: int32(p.Port), Protocol: corev1.Protocol(p.Protocol.String()), Sidecar: a.sidecar, AgentVersion: a.version, Since: a.since,
		State: podState(p.State), Message: short(p.Message, maxMessage),
		Counters: v1alpha1.Counters{Connections: int64(p.Connections), Requests: int64(p.Requests), Opaque: int64(p.Opaque), Fallbacks: int64(p.Fallbacks), BytesIn: int64(p.BytesIn), BytesOut: int64(p.BytesOut)}}
	for _, m := range p.Missed {
		out.Miss(v1alpha1.NotDelivered{Reason: reason(m.Reason), Connections: int64(m.Connections)})
	}
	out.LastRequest = second(p.LastConnection)
	return out
}

// short is a text of at most max bytes, which ends in an ellipsis if it was longer.
func short(text string, max int) string {
	if len(text) <= max {
		return text
	}
	const ellipsis = "…"
	return strings.ToValidUTF8(text[:max-len(ellipsis)], "") + ellipsis
}

// second is a time in Unix milliseconds as the API keeps it; nil for 0.
func second(ms int64) *metav1.Time {
	if ms == 0 {
		return nil
	}
	t := metav1.NewTime(time.UnixMilli(ms).UTC().Truncate(time.Second))
	return &t
}

// sum is the state of a pod: that of the port that is least far, or of the container.
func sum(pod pki.Pod, ports []v1alpha1.PodPort, c *v1alpha1.PodContainer) v1alpha1.PodStatus {
	s := v1alpha1.PodStatus{Name: pod.Name, UID: types.UID(pod.UID), State: v1alpha1.PodActive, Ports: ports, Container: c}
	count := func(state v1alpha1.PodState, message string) {
		if s.State == v1alpha1.PodActive || state == v1alpha1.PodError && s.State != v1alpha1.PodError {
			s.State, s.Message = state, message
		}
	}
	for _, p := range ports {
		s.Add(p.Counters)
		count(p.State, p.Message)
	}
	if c != nil {
		count(c.State, c.Message)
	}
	return s
}
