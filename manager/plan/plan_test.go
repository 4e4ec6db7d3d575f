package plan

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve/resolvetest"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

const system = "intercept-system"

var labels = map[string]string{"app": "quote"}

func quotePod() *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote-1", UID: "p", Labels: labels,
		OwnerReferences: resolvetest.Owned("ReplicaSet", "quote-a")},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Ports:         []corev1.ContainerPort{{Name: "http", ContainerPort: 9090}},
			LivenessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromString("http")}}},
		}}}}
}

func accepted(user string) *v1alpha1.Intercept {
	return &v1alpha1.Intercept{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote", UID: "i", Generation: 2},
		Spec: v1alpha1.InterceptSpec{User: user, Session: "alice",
			Workload: v1alpha1.WorkloadReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "quote"}},
		Status: v1alpha1.InterceptStatus{
			Conditions: []metav1.Condition{{Type: v1alpha1.ConditionResolved, Status: "True", ObservedGeneration: 2}},
			// The template says 8080; this pod names another number "http".
			Ports: []v1alpha1.ResolvedPort{{ContainerPort: 8080, ContainerPortName: "http", Protocol: "TCP"}},
		},
	}
}

func plan(t *testing.T, uid string, objects ...client.Object) []*rpc.CapturePort {
	t.Helper()
	plan, err := New(cluster(t, objects...), system, Answers{ResponseHeader: true, Notice: time.Hour}).Pod(context.Background(), "shop", "quote-1", types.UID(uid))
	if err != nil {
		t.Fatal(err)
	}
	return plan.Ports()
}

// cluster has these objects, and what quote-1 belongs to.
func cluster(t *testing.T, objects ...client.Object) client.WithWatch {
	t.Helper()
	s := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	if err := v1alpha1.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	deployment, replicas := resolvetest.Quote(labels)
	return fake.NewClientBuilder().WithScheme(s).WithObjects(append(objects,
		deployment, replicas,
		&v1alpha1.Session{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "alice"}, Spec: v1alpha1.SessionSpec{User: "alice"},
			Status: v1alpha1.SessionStatus{Relays: []v1alpha1.Relay{{Pod: "b", Address: "10.0.0.2:17843"}, {Pod: "a", Address: "10.0.0.1:17843"}}}},
	)...).Build()
}

func TestPlanOfAPod(t *testing.T) {
	ports := plan(t, "p", quotePod(), accepted("alice"))
	if len(ports) != 1 {
		t.Fatalf("plan has %d ports", len(ports))
	}
	p := ports[0]
	if p.Port != 9090 || len(p.Probes) != 1 || p.Probes[0].Kind != rpc.Probe_HTTP {
		t.Errorf("the pod's own port and probe are not seen: %v", p)
	}
	if r := p.Routes[0]; len(p.Routes) != 1 || r.Intercept != "shop/quote" || len(r.Relays) != 2 || r.Relays[0] != "10.0.0.1:17843" {
		t.Errorf("route is %v", r)
	}
}

func TestNothingToCapture(t *testing.T) {
	refused := accepted("alice")
	refused.Status.Conditions[0].Status = "False"
	leaving := accepted("alice")
	leaving.Finalizers = []string{"kubectl-intercept.dev/redirect"}
	leaving.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	elsewhere := accepted("alice")
	elsewhere.Spec.Workload.Name = "other"
	stranger := quotePod()
	stranger.OwnerReferences = resolvetest.Owned("ReplicaSet", "quote-worker-a") // with the same labels
	for name, ports := range map[string][]*rpc.CapturePort{
		"a spec that was refused":        plan(t, "p", quotePod(), refused),
		"an intercept that is leaving":   plan(t, "p", quotePod(), leaving),
		"a workload that does not exist": plan(t, "p", quotePod(), elsewhere),
		"a pod of another workload":      plan(t, "p", stranger, accepted("alice")),
		"a pod that is gone":             plan(t, "p", accepted("alice")),
		"a pod replaced under its name":  plan(t, "another", quotePod(), accepted("alice")),
	} {
		if len(ports) != 0 {
			t.Errorf("%s: captures %v", name, ports)
		}
	}
}

// While a changed spec is being resolved, what was captured stays captured.
func TestChangedSpecKeepsItsPorts(t *testing.T) {
	changed := accepted("alice")
	changed.Generation = 3
	if Accepted(changed) {
		t.Error("a spec that was not looked at is accepted")
	}
	if ports := plan(t, "p", quotePod(), changed); len(ports) != 1 {
		t.Errorf("plan is %v", ports)
	}
}

// An intercept that names another user's session must never get its relays.
func TestForeignSessionGetsNothing(t *testing.T) {
	ports := plan(t, "p", quotePod(), accepted("mallory"))
	if len(ports) != 1 || len(ports[0].Routes) != 1 || len(ports[0].Routes[0].Relays) != 0 {
		t.Errorf("plan is %v", ports)
	}
}

// Where two Intercepts have one port, the plan has a route of each, and every
// replica puts them in the same order.
func TestTwoClaimsOfOnePort(t *testing.T) {
	older, younger, twin := accepted("alice"), accepted("alice"), accepted("alice")
	older.Name, older.UID, older.CreationTimestamp = "z", "z", metav1.NewTime(time.Unix(1000, 0))
	younger.Name, younger.UID, younger.CreationTimestamp = "a", "a", metav1.NewTime(time.Unix(2000, 0))
	twin.Name, twin.UID, twin.CreationTimestamp = "b", "zz", older.CreationTimestamp
	older.Spec.KeepEstablished = true
	// Two of its ports are one in this pod.
	twin.Status.Ports = append(twin.Status.Ports, v1alpha1.ResolvedPort{ContainerPort: 9090, Protocol: "TCP"})
	ports := plan(t, "p", quotePod(), older, younger, twin)
	if len(ports) != 1 || ports[0].KeepEstablished {
		t.Fatalf("plan is %v", ports)
	}
	var owners []string
	for _, r := range ports[0].Routes {
		owners = append(owners, r.InterceptUid)
	}
	if !slices.Equal(owners, []string{"z", "zz", "a"}) {
		t.Errorf("routes of %v", owners)
	}
}

// Agents of one pod get the same plan at the same time. What is done with one
// copy shows nowhere else.
func TestPlansAreSealed(t *testing.T) {
	pod := quotePod()
	pod.Status.PodIPs = []corev1.PodIP{{IP: "10.0.0.8"}} // or the plan is not remembered
	p := New(cluster(t, pod, accepted("alice")), system, Answers{})
	first, err := p.Pod(t.Context(), "shop", "quote-1", "p")
	if err != nil || first.Len() != 1 {
		t.Fatalf("plan is %v: %v", first.Ports(), err)
	}
	owner := Claim{Intercept: "shop/quote", UID: "i", Session: "alice"}
	want := first.Ports()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				plan, err := p.Pod(t.Context(), "shop", "quote-1", "p")
				if err != nil || !plan.Equal(Of(want...)) || !plan.RoutesPort(9090, rpc.Protocol_TCP, owner) {
					t.Errorf("plan is %v: %v", plan.Ports(), err)
				}
				part := plan.Only(func(int32, corev1.Protocol) bool { return true })
				for _, c := range slices.Concat(plan.Ports(), part.Ports()) {
					c.Port, c.Probes[0].Target = 1, "/elsewhere"
					c.Routes[0].Relays[0] = "10.9.9.9:443"
					c.Routes = append(c.Routes[:0], &rpc.Route{})
				}
			}
		})
	}
	wg.Wait()
}

func TestRoutesByOwner(t *testing.T) {
	own := Claim{Intercept: "shop/b", UID: "2", Session: "bob"}
	p := Of(&rpc.CapturePort{Port: 80}, &rpc.CapturePort{Port: 81, Routes: []*rpc.Route{
		{Intercept: "shop/a", InterceptUid: "1", Session: "alice"}, {Intercept: "shop/b", InterceptUid: "2", Session: "bob"}}})
	if !p.Routes(own) || !p.RoutesPort(81, rpc.Protocol_TCP, own) {
		t.Error("the second route of a port is not seen")
	}
	mixed := own
	mixed.Session = "alice"
	if p.Routes(mixed) || p.RoutesPort(80, rpc.Protocol_TCP, own) || p.RoutesPort(81, rpc.Protocol_UDP, own) {
		t.Error("a route is seen that is not there")
	}
}

// A workload is read once for all its pods until something changes. The plan of a pod
// that has no address yet is made again.
func TestPlansOfManyPods(t *testing.T) {
	pod, second := quotePod(), quotePod()
	second.Name, second.UID = "quote-2", "p2"
	second.Status = corev1.PodStatus{HostIPs: []corev1.HostIP{{IP: "192.0.2.1"}}, PodIPs: []corev1.PodIP{{IP: "10.0.0.8"}}}
	reads := 0
	c := interceptor.NewClient(cluster(t, pod, second, accepted("alice")), interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if _, ok := list.(*appsv1.ReplicaSetList); ok {
				reads++
			}
			return c.List(ctx, list, opts...)
		}})
	p := New(c, system, Answers{})
	addresses := func(name string, uid types.UID) []string {
		t.Helper()
		plan, err := p.Pod(t.Context(), "shop", name, uid)
		if err != nil || plan.Len() != 1 {
			t.Fatalf("plan is %v: %v", plan.Ports(), err)
		}
		return plan.Ports()[0].NodeAddresses
	}
	if a := addresses("quote-1", "p"); len(a) != 0 {
		t.Errorf("addresses %v of a pod without any", a)
	}
	addresses("quote-2", "p2")
	if reads != 1 {
		t.Errorf("the ReplicaSets were read %d times", reads)
	}
	pod.Status = second.Status
	if err := c.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if a := addresses("quote-1", "p"); len(a) != 1 {
		t.Errorf("addresses %v once there is one", a)
	}
	p.Changed()
	addresses("quote-1", "p")
	if reads != 2 {
		t.Errorf("the ReplicaSets were read %d times after a change", reads)
	}
}

func TestChangesWake(t *testing.T) {
	p := New(nil, system, Answers{})
	ch, stop := p.Subscribe()
	p.Changed()
	p.Changed()
	<-ch
	select {
	case <-ch:
		t.Error("two changes woke twice")
	default:
	}
	stop()
	p.Changed()
	select {
	case <-ch:
		t.Error("woken after stop")
	default:
	}
}

// Agents ask personal Intercepts first, then those for every HTTP request, then global
// ones. Of each, those whose laptop is away are asked last.
func TestOrder(t *testing.T) {
	age := int64(1000)
	of := func(name string, mode v1alpha1.InterceptMode, m *v1alpha1.Match) *v1alpha1.Intercept {
		age++
		ic := accepted("alice")
		ic.Name, ic.UID, ic.CreationTimestamp = name, types.UID(name), metav1.NewTime(time.Unix(age, 0))
		ic.Status.Mode, ic.Status.Match = mode, m
		return ic
	}
	louise := &v1alpha1.Match{Headers: []v1alpha1.MatchValue{{Name: "x-user", Regexp: "louise"}}}
	away := of("away", v1alpha1.ModePersonal, louise)
	away.Spec.Session = "gone"
	ports := plan(t, "p", quotePod(), away,
		of("global", v1alpha1.ModeGlobal, nil), of("before", "", nil), of("all", v1alpha1.ModePersonal, &v1alpha1.Match{}),
		of("older", v1alpha1.ModePersonal, louise), of("younger", v1alpha1.ModePersonal, louise))
	var got []string
	for _, r := range ports[0].Routes {
		text := strings.TrimPrefix(r.Intercept, "shop/")
		if personal := r.Match != nil; (r.Mark != "") != personal || (r.NoticeSeconds == 3600) != personal {
			t.Errorf("callers are told %q, for %d s: %v", r.Mark, r.NoticeSeconds, r)
		}
		if r.Match != nil {
			all, err := r.Match.Read()
			if err != nil {
				t.Fatal(err)
			}
			text += ": " + all.String()
		}
		got = append(got, text)
	}
	const says = `: header("x-user") ~= regexp("louise")`
	if want := []string{"older" + says, "younger" + says, "away" + says, "all: every HTTP request", "global", "before"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// While a changed match is being decided on, agents follow the one that was accepted.
func TestChangedMatchWaits(t *testing.T) {
	changed := accepted("alice")
	changed.Generation = 3
	changed.Spec.Mode = v1alpha1.ModeGlobal
	changed.Status.Mode, changed.Status.Match = v1alpha1.ModePersonal, &v1alpha1.Match{Method: "GET"}
	if r := plan(t, "p", quotePod(), changed)[0].Routes[0]; len(r.Match.GetConditions()) != 1 {
		t.Errorf("route is %v", r)
	}
}

// What the session of an Intercept asks goes to the agents of routes with a match.
func TestQuestion(t *testing.T) {
	ic := accepted("alice")
	asks := func(question string) string {
		ic.Annotations = map[string]string{v1alpha1.ShowValuesKey: question}
		return plan(t, "p", quotePod(), ic)[0].Routes[0].Question
	}
	if got := asks("q"); got != "" {
		t.Errorf("a route without a match has the question %q", got)
	}
	for _, mode := range []v1alpha1.InterceptMode{v1alpha1.ModePersonal, v1alpha1.ModeMirror} {
		ic.Status.Mode, ic.Status.Match = mode, &v1alpha1.Match{Method: "GET"}
		if got := asks("q"); got != "q" {
			t.Errorf("%s: the question is %q", mode, got)
		}
		if got := asks(strings.Repeat("q", v1alpha1.MaxQuestion+1)); got != "" {
			t.Errorf("%s: a question of %d bytes", mode, len(got))
		}
	}
}

// A mirror is a route of its own that copies, asked last. It resets no connection.
func TestMirror(t *testing.T) {
	of := func(name string, m *v1alpha1.Match) *v1alpha1.Intercept {
		ic := accepted("alice")
		ic.Name, ic.UID = name, types.UID(name)
		ic.Status.Mode, ic.Status.Match = v1alpha1.ModeMirror, m
		return ic
	}
	bytes, all, some := of("bytes", nil), of("every", &v1alpha1.Match{}), of("some", &v1alpha1.Match{Method: "GET"})
	ports := plan(t, "p", quotePod(), bytes, all, some)
	if !ports[0].KeepEstablished {
		t.Error("connections from before a mirror are reset")
	}
	conditions := map[string]int{"shop/bytes": -1, "shop/every": 0, "shop/some": 1}
	for _, r := range ports[0].Routes {
		if got := len(r.Match.GetConditions()); r.Mode != rpc.Route_COPY || r.Mark != "" || r.NoticeSeconds != 0 ||
			got != max(conditions[r.Intercept], 0) || (r.Match == nil) != (conditions[r.Intercept] < 0) {
			t.Errorf("route is %v", r)
		}
	}
	global := accepted("bob")
	global.Name, global.UID = "global", "global"
	ports = plan(t, "p", quotePod(), bytes, global)
	if ports[0].KeepEstablished || ports[0].Routes[0].Intercept != "shop/global" {
		t.Errorf("a global intercept beside a mirror: %v", ports[0])
	}
}
