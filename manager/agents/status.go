package agents

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// agent is one connected agent and what it said last.
type agent struct {
	pod        pki.Pod
	intercepts map[string]types.NamespacedName // by UID: all it was ever told
	ports      []*rpc.PortReport
}

// statusWriter turns reports into status.pods. Each replica writes the pods
// whose agents it serves and leaves the others alone.
type statusWriter struct {
	log    *slog.Logger
	reader client.Reader
	writer client.StatusClient
	wake   chan struct{}

	mu     sync.Mutex
	agents map[*agent]bool
	dirty  map[string]types.NamespacedName // by UID
	mine   map[string]map[string]bool      // UID → pods this replica wrote
}

func newStatusWriter(log *slog.Logger, reader client.Reader, writer client.StatusClient) *statusWriter {
	return &statusWriter{log: log, reader: reader, writer: writer, wake: make(chan struct{}, 1),
		agents: map[*agent]bool{}, dirty: map[string]types.NamespacedName{}, mine: map[string]map[string]bool{}}
}

func (w *statusWriter) connect(p pki.Pod) *agent {
	a := &agent{pod: p, intercepts: map[string]types.NamespacedName{}}
	w.mu.Lock()
	w.agents[a] = true
	w.mu.Unlock()
	return a
}

func (w *statusWriter) disconnect(a *agent) {
	w.mu.Lock()
	delete(w.agents, a)
	w.touch(a)
	w.mu.Unlock()
}

// planned notes which intercepts the agent is told of.
func (w *statusWriter) planned(a *agent, ports []*rpc.CapturePort) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range ports {
		ns, name, _ := strings.Cut(p.Route.Intercept, "/")
		a.intercepts[p.Route.InterceptUid] = types.NamespacedName{Namespace: ns, Name: name}
	}
	w.touch(a)
}

func (w *statusWriter) report(a *agent, r *rpc.AgentReport) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a.ports = r.Ports
	w.touch(a)
}

func (w *statusWriter) touch(a *agent) {
	for uid, key := range a.intercepts {
		w.mark(uid, key)
	}
}

// mark has an intercept written; the caller holds w.mu.
func (w *statusWriter) mark(uid string, key types.NamespacedName) {
	w.dirty[uid] = key
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
		w.mu.Lock()
		todo := w.dirty
		w.dirty = map[string]types.NamespacedName{}
		w.mu.Unlock()
		for uid, key := range todo {
			if err := w.write(ctx, uid, key); err != nil {
				if !apierrors.IsConflict(err) {
					w.log.Warn("write status", "intercept", key, "error", err)
				}
				w.again(ctx, uid, key)
			}
		}
	}
}

// again retries after the cache has had time to catch up.
func (w *statusWriter) again(ctx context.Context, uid string, key types.NamespacedName) {
	time.AfterFunc(50*time.Millisecond, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.mark(uid, key)
	})
}

func (w *statusWriter) write(ctx context.Context, uid string, key types.NamespacedName) error {
	var ic v1alpha1.Intercept
	err := w.reader.Get(ctx, key, &ic)
	if apierrors.IsNotFound(err) || err == nil && string(ic.UID) != uid {
		w.forget(uid)
		return nil
	}
	if err != nil {
		return err
	}
	old := ic.DeepCopy()
	ic.Status.Pods = w.merge(uid, old.Status.Pods)
	for i := range ic.Status.Pods {
		if err := w.proven(ctx, &ic, &ic.Status.Pods[i]); err != nil {
			return err
		}
	}
	ic.Status.Connections = 0
	for _, p := range ic.Status.Pods {
		ic.Status.Connections += p.Connections
	}
	if reflect.DeepEqual(old.Status, ic.Status) {
		return nil
	}
	return client.IgnoreNotFound(w.writer.Status().Patch(ctx, &ic,
		client.MergeFromWithOptions(old, client.MergeFromWithOptimisticLock{})))
}

// proven takes Active back from a pod whose agent has not reported on each of
// the intercept's present ports: it may speak of those from before a change.
func (w *statusWriter) proven(ctx context.Context, ic *v1alpha1.Intercept, s *v1alpha1.PodStatus) error {
	w.mu.Lock()
	var reported []*rpc.PortReport
	mine := false
	for a := range w.agents {
		if a.pod.Namespace == ic.Namespace && a.pod.Name == s.Name {
			reported, mine = append(reported, a.ports...), true
		}
	}
	w.mu.Unlock()
	if !mine || s.State != v1alpha1.PodActive {
		return nil
	}
	var pod corev1.Pod
	if err := w.reader.Get(ctx, client.ObjectKey{Namespace: ic.Namespace, Name: s.Name}, &pod); err != nil {
		return client.IgnoreNotFound(err)
	}
	for _, r := range ic.Status.Ports {
		number := resolve.PortIn(&pod, r)
		if number != 0 && !slices.ContainsFunc(reported, func(p *rpc.PortReport) bool {
			return p.Port == uint32(number) && p.Protocol.String() == string(r.Protocol) && p.InterceptUid == string(ic.UID) &&
				p.State == rpc.PortState_VERIFIED
		}) {
			s.State = v1alpha1.PodVerifying
			return nil
		}
	}
	return nil
}

func (w *statusWriter) forget(uid string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.mine, uid)
	for a := range w.agents {
		delete(a.intercepts, uid)
	}
}

// merge replaces what this replica wrote before by what its agents say now.
func (w *statusWriter) merge(uid string, old []v1alpha1.PodStatus) []v1alpha1.PodStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	pods := map[string]v1alpha1.PodStatus{}
	for _, p := range old {
		if !w.mine[uid][p.Name] {
			pods[p.Name] = p
		}
	}
	mine := map[string]bool{}
	for a := range w.agents {
		if p, ok := a.status(uid); ok {
			if mine[p.Name] {
				p = together(pods[p.Name], p)
			}
			pods[p.Name] = p
			mine[p.Name] = true
		}
	}
	w.mine[uid] = mine
	return slices.SortedFunc(maps.Values(pods), func(a, b v1alpha1.PodStatus) int { return cmp.Compare(a.Name, b.Name) })
}

// together is the state of a pod in which a sidecar has some of the ports and an
// ephemeral agent the others.
func together(a, b v1alpha1.PodStatus) v1alpha1.PodStatus {
	if a.State == v1alpha1.PodActive || b.State == v1alpha1.PodError {
		a.State, a.Message = b.State, b.Message
	}
	a.Connections += b.Connections
	a.Fallbacks += b.Fallbacks
	for _, m := range b.NotDelivered {
		a.NotDelivered = missed(a.NotDelivered, m)
	}
	a.BytesIn += b.BytesIn
	a.BytesOut += b.BytesOut
	if a.LastRequest.Before(b.LastRequest) {
		a.LastRequest = b.LastRequest
	}
	return a
}

// status sums the ports of one intercept up; false when there are none.
func (a *agent) status(uid string) (v1alpha1.PodStatus, bool) {
	s := v1alpha1.PodStatus{Name: a.pod.Name, State: v1alpha1.PodActive}
	found := false
	var last int64
	for _, p := range a.ports {
		if p.InterceptUid != uid {
			continue
		}
		found = true
		s.Connections += int64(p.Connections)
		s.Fallbacks += int64(p.Fallbacks)
		for _, m := range p.Missed {
			s.NotDelivered = missed(s.NotDelivered, v1alpha1.NotDelivered{Reason: reason(m.Reason), Connections: int64(m.Connections)})
		}
		s.BytesIn += int64(p.BytesIn)
		s.BytesOut += int64(p.BytesOut)
		last = max(last, p.LastConnection)
		switch {
		case p.State == rpc.PortState_FAILED:
			s.State, s.Message = v1alpha1.PodError, p.Message
		case p.State != rpc.PortState_VERIFIED && s.State != v1alpha1.PodError:
			s.State, s.Message = v1alpha1.PodVerifying, p.Message
		}
	}
	if last > 0 {
		t := metav1.NewTime(time.UnixMilli(last).UTC().Truncate(time.Second))
		s.LastRequest = &t
	}
	return s, found
}
