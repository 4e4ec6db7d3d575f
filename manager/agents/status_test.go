package agents

import (
	"context"
	"log/slog"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

func report(state rpc.PortState, connections uint64) *rpc.AgentReport {
	return &rpc.AgentReport{Routes: []*rpc.RouteReport{
		{Port: 1, InterceptUid: "u", State: rpc.PortState_VERIFIED, Connections: 1, LastConnection: 1_700_000_000_000},
		{Port: 2, InterceptUid: "u", State: state, Message: "m", Connections: connections},
		{Port: 3, InterceptUid: "another", State: rpc.PortState_FAILED},
	}}
}

// store is an API server with one Intercept, and replicas that write to it.
type store struct {
	client.WithWatch
	t         *testing.T
	conflicts int // writes that are to fail
	// refusal is what all writes fail with; nil for none. Refused is how many it was.
	refusal atomic.Pointer[apierrors.StatusError]
	refused atomic.Int64
}

func newStore(t *testing.T) *store {
	t.Helper()
	s := &store{t: t}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	ic := &v1alpha1.Intercept{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote", UID: "u"}}
	s.WithWatch = fake.NewClientBuilder().WithScheme(scheme).WithObjects(ic).WithStatusSubresource(ic).WithInterceptorFuncs(interceptor.Funcs{
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			if err := s.refusal.Load(); err != nil {
				s.refused.Add(1)
				return err
			}
			if s.conflicts > 0 {
				s.conflicts--
				return apierrors.NewConflict(schema.GroupResource{Resource: "intercepts"}, o.GetName(), nil)
			}
			return c.SubResource(sub).Patch(ctx, o, p, opts...)
		}}).Build()
	return s
}

func (s *store) replica() *statusWriter {
	return newStatusWriter(slog.New(slog.DiscardHandler), s, s)
}

// pods lets replicas write, each once, and returns what the Intercept says then.
func (s *store) pods(replicas ...*statusWriter) map[string]v1alpha1.PodStatus {
	s.t.Helper()
	for _, w := range replicas {
		w.settle(s.t.Context(), "shop")
	}
	var ic v1alpha1.Intercept
	if err := s.Get(s.t.Context(), client.ObjectKey{Namespace: "shop", Name: "quote"}, &ic); err != nil {
		s.t.Fatal(err)
	}
	pods := map[string]v1alpha1.PodStatus{}
	for _, p := range ic.Status.Pods {
		pods[p.Name] = p
	}
	return pods
}

func pod(name string) pki.Pod { return pki.Pod{Namespace: "shop", Name: name, UID: "uid of " + name} }

func TestPortsOfOnePodBecomeOneEntry(t *testing.T) {
	for state, want := range map[rpc.PortState]v1alpha1.PodState{
		rpc.PortState_VERIFIED:   v1alpha1.PodActive,
		rpc.PortState_REDIRECTED: v1alpha1.PodVerifying,
		rpc.PortState_PENDING:    v1alpha1.PodVerifying,
		rpc.PortState_FAILED:     v1alpha1.PodError,
	} {
		s := newStore(t)
		w := s.replica()
		a := w.connect(t.Context(), pod("quote-1"), report(state, 2))
		p := s.pods(w)["quote-1"]
		if p.State != want || p.Connections != 3 || p.LastRequest == nil || len(p.Ports) != 2 || p.UID != "uid of quote-1" {
			t.Errorf("%s: got %+v, want %s", state, p, want)
		}
		w.report(a, &rpc.AgentReport{})
		if got := s.pods(w); len(got) != 0 {
			t.Errorf("an agent that has given back has an entry: %+v", got)
		}
	}
}

// What an agent says is bounded: a status that is too large is refused as a whole.
func TestLongMessage(t *testing.T) {
	s := newStore(t)
	w := s.replica()
	r := report(rpc.PortState_FAILED, 0)
	r.Version = strings.Repeat("1", 100)
	for _, route := range r.Routes {
		route.Message = "nft: " + strings.Repeat("ä", 20<<10)
	}
	w.connect(t.Context(), pod("quote-1"), r)
	p := s.pods(w)["quote-1"]
	if len(p.Message) > maxMessage || len(p.Message) < maxMessage-1 || !utf8.ValidString(p.Message) || !strings.HasPrefix(p.Message, "nft: ä") || !strings.HasSuffix(p.Message, "ä…") {
		t.Errorf("a message of %d bytes: %s", len(p.Message), p.Message)
	}
	if v := p.Ports[0].AgentVersion; len(v) != maxVersion {
		t.Errorf("a version of %d bytes", len(v))
	}
}

// A sidecar and an ephemeral agent share a pod, and may be connected to two replicas:
// neither replica removes what the other one wrote.
func TestTwoAgentsInOnePod(t *testing.T) {
	s := newStore(t)
	v, w := s.replica(), s.replica()
	sidecar := &rpc.AgentReport{Sidecar: true, Routes: []*rpc.RouteReport{{Port: 7, InterceptUid: "u", State: rpc.PortState_REDIRECTED, Connections: 5}}}
	a := v.connect(t.Context(), pod("quote-1"), sidecar)
	b := w.connect(t.Context(), pod("quote-1"), report(rpc.PortState_VERIFIED, 0))
	for range 2 {
		if p := s.pods(v, w)["quote-1"]; p.State != v1alpha1.PodVerifying || p.Connections != 6 || len(p.Ports) != 3 {
			t.Errorf("got %+v", p)
		}
	}
	w.disconnect(b)
	if p := s.pods(v, w)["quote-1"]; len(p.Ports) != 1 || !p.Ports[0].Sidecar {
		t.Errorf("after the ephemeral one went: %+v", p)
	}
	v.disconnect(a)
	if got := s.pods(v, w); len(got) != 0 {
		t.Errorf("after both went: %+v", got)
	}
}

// A port that an agent gives back leaves the status, although a write failed, the
// cache was old, or another replica had written the entry.
func TestGivenBackIsGone(t *testing.T) {
	t.Run("conflict", func(t *testing.T) {
		s := newStore(t)
		w := s.replica()
		a := w.connect(t.Context(), pod("quote-1"), report(rpc.PortState_VERIFIED, 0))
		s.pods(w)
		w.report(a, &rpc.AgentReport{})
		s.conflicts = 1
		if got := s.pods(w); len(got) != 1 {
			t.Fatalf("the write did not fail: %+v", got)
		}
		if got := s.pods(w); len(got) != 0 {
			t.Errorf("it lingers: %+v", got)
		}
	})
	t.Run("left, and the cache was behind", func(t *testing.T) {
		s := newStore(t)
		w := s.replica()
		a := w.connect(t.Context(), pod("quote-1"), report(rpc.PortState_VERIFIED, 0))
		w.disconnect(a)
		w.todo()
		s.pods(w) // what was written before shows later
		late := s.replica()
		b := late.connect(t.Context(), pod("quote-1"), report(rpc.PortState_VERIFIED, 0))
		b.since = a.since
		s.pods(late)
		if got := s.pods(w); len(got) != 0 {
			t.Errorf("it lingers: %+v", got)
		}
	})
	t.Run("another replica", func(t *testing.T) {
		s := newStore(t)
		v, w := s.replica(), s.replica()
		a := v.connect(t.Context(), pod("quote-1"), report(rpc.PortState_VERIFIED, 0))
		s.pods(v)
		w.connect(t.Context(), pod("quote-1"), &rpc.AgentReport{}).since = metav1.NewMicroTime(a.since.Add(time.Microsecond))
		if got := s.pods(w); len(got) != 0 {
			t.Errorf("it lingers: %+v", got)
		}
		v.disconnect(a)
		if got := s.pods(v, w); len(got) != 0 {
			t.Errorf("the replica that the agent has left brings it back: %+v", got)
		}
	})
}

// An agent that has moved to another replica keeps its entry when the first replica
// notices that it left.
func TestMovedAgentKeepsItsEntry(t *testing.T) {
	s := newStore(t)
	v, w := s.replica(), s.replica()
	a := v.connect(t.Context(), pod("quote-1"), report(rpc.PortState_VERIFIED, 0))
	s.pods(v)
	w.connect(t.Context(), pod("quote-1"), report(rpc.PortState_VERIFIED, 9)).since = metav1.NewMicroTime(a.since.Add(time.Microsecond))
	s.pods(w)
	v.disconnect(a)
	if got := s.pods(v); got["quote-1"].Connections != 10 {
		t.Errorf("got %+v", got)
	}
}

// A pod of a StatefulSet has the name of the one before it, and does not inherit its
// state.
func TestPodOfTheSameName(t *testing.T) {
	s := newStore(t)
	w := s.replica()
	old := w.connect(t.Context(), pod("quote-0"), report(rpc.PortState_VERIFIED, 0))
	s.pods(w)
	fresh := pod("quote-0")
	fresh.UID = "fresh"
	b := w.connect(t.Context(), fresh, report(rpc.PortState_REDIRECTED, 0))
	b.since = metav1.NewMicroTime(old.since.Add(time.Microsecond))
	for range 2 {
		if p := s.pods(w)["quote-0"]; p.UID != "fresh" || p.State != v1alpha1.PodVerifying {
			t.Errorf("got %+v", p)
		}
		w.disconnect(old)
	}
}

// A status that differs from the reports is corrected when the Intercept changes,
// without a new report.
func TestChangedInterceptIsPutRight(t *testing.T) {
	synctest.Test(t, changedInterceptIsPutRight)
}

func changedInterceptIsPutRight(t *testing.T) {
	s := newStore(t)
	w := s.replica()
	w.connect(t.Context(), pod("quote-1"), report(rpc.PortState_VERIFIED, 0))
	s.pods(w)
	<-w.wake
	w.todo()
	var ic v1alpha1.Intercept
	if err := s.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "quote"}, &ic); err != nil {
		t.Fatal(err)
	}
	ic.Status.Pods = nil
	if err := s.Status().Update(t.Context(), &ic); err != nil {
		t.Fatal(err)
	}
	w.changed("elsewhere")
	w.changed("shop")
	w.mu.Lock()
	checks := maps.Clone(w.checks)
	w.mu.Unlock()
	if len(checks) != 1 || !checks["shop"] {
		t.Fatalf("will compare %v", checks)
	}
	<-w.wake
	if todo := w.todo(); len(todo) != 1 || todo[0] != "shop" {
		t.Fatalf("looks at %v", todo)
	}
	if got := s.pods(w); got["quote-1"].State != v1alpha1.PodActive {
		t.Errorf("got %+v", got)
	}
}

// TestClocksOfReplicas: an agent can move to a replica whose clock is behind.
func TestClocksOfReplicas(t *testing.T) {
	s := newStore(t)
	v, w := s.replica(), s.replica()
	a := v.connect(t.Context(), pod("quote-1"), report(rpc.PortState_REDIRECTED, 0))
	a.since = metav1.NewMicroTime(a.since.Add(time.Hour))
	s.pods(v)
	b := w.connect(t.Context(), pod("quote-1"), report(rpc.PortState_VERIFIED, 9))
	if got := s.pods(w)["quote-1"]; got.Connections != 10 || got.State != v1alpha1.PodActive {
		t.Errorf("the new connection is not heard: %+v", got)
	}
	w.disconnect(b)
	w.connect(t.Context(), pod("quote-1"), report(rpc.PortState_VERIFIED, 20))
	if got := s.pods(w)["quote-1"]; got.Connections != 21 {
		t.Errorf("nor is the next one: %+v", got)
	}
}

// Requests are counted like connections: by port, pod and Intercept.
func TestRequestsAreCounted(t *testing.T) {
	s := newStore(t)
	w := s.replica()
	for i, name := range []string{"quote-1", "quote-2"} {
		w.connect(t.Context(), pod(name), &rpc.AgentReport{Routes: []*rpc.RouteReport{
			{Port: 1, InterceptUid: "u", Requests: 5, Opaque: 1}, {Port: 2, InterceptUid: "u", Requests: uint64(i), Opaque: 2}}})
	}
	if pods := s.pods(w); pods["quote-2"].Requests != 6 || pods["quote-2"].Opaque != 3 || pods["quote-2"].Ports[0].Requests != 5 {
		t.Errorf("%+v", pods)
	}
	var ic v1alpha1.Intercept
	if err := s.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "quote"}, &ic); err != nil || ic.Status.Requests != 11 {
		t.Errorf("%d requests, %v", ic.Status.Requests, err)
	}
}
