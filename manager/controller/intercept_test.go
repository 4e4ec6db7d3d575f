package controller

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/plan"
)

func TestFromClaimToActive(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{}, intercept("alice", time.Now()))
	ic := w.reconcile("alice")
	if c := condition(ic, v1alpha1.ConditionResolved); c.Status != metav1.ConditionTrue {
		t.Fatalf("not resolved: %+v", ic.Status)
	}
	if p := ic.Status.Ports; len(p) != 1 || p[0].ContainerPort != 8080 || p[0].ServicePort != 80 || p[0].LocalPort != 8080 {
		t.Errorf("ports are %+v", p)
	}
	var pod corev1.Pod
	if err := w.Get(context.Background(), client.ObjectKey{Namespace: "shop", Name: "quote-1"}, &pod); err != nil {
		t.Fatal(err)
	}
	if n := len(pod.Spec.EphemeralContainers); n != 1 {
		t.Fatalf("the pod has %d ephemeral containers, want the agent", n)
	}
	w.reconcile("alice")
	if w.Get(context.Background(), client.ObjectKeyFromObject(&pod), &pod); len(pod.Spec.EphemeralContainers) != 1 {
		t.Error("a second look attached a second agent")
	}

	w.reports(ic, agentSays("quote-1", v1alpha1.PodVerifying), v1alpha1.PodStatus{Name: "gone", State: v1alpha1.PodActive})
	ic = w.reconcile("alice")
	if c := condition(ic, v1alpha1.ConditionActive); c.Status == metav1.ConditionTrue || ic.Status.State != v1alpha1.StateWaiting {
		t.Errorf("active before the redirect is proven: %+v", ic.Status)
	}
	if len(ic.Status.Pods) != 1 {
		t.Errorf("a pod that is gone stays in the status: %+v", ic.Status.Pods)
	}

	w.reports(ic, agentSays("quote-1", v1alpha1.PodActive))
	ic = w.reconcile("alice")
	if c := condition(ic, v1alpha1.ConditionActive); c.Status != metav1.ConditionTrue || ic.Status.State != v1alpha1.StateActive {
		t.Errorf("not active: %+v", ic.Status)
	}
}

func TestRefusals(t *testing.T) {
	foreign := intercept("alice", time.Now())
	foreign.Spec.Session = "bob"
	nobody := intercept("alice", time.Now())
	nobody.Spec.Session = "nobody"
	missing := intercept("alice", time.Now())
	missing.Spec.Workload.Name = "qoute"
	port := intercept("alice", time.Now())
	port.Spec.Ports[0].Port = "grpc"
	cases := []struct {
		ic           *v1alpha1.Intercept
		reason, text string
	}{
		{foreign, v1alpha1.ReasonSessionForeign, "session bob belongs to another user than alice"},
		{nobody, v1alpha1.ReasonSessionNotFound, "session nobody does not exist"},
		{missing, v1alpha1.ReasonWorkloadNotFound, `deployment/qoute does not exist in namespace "shop"`},
		{port, v1alpha1.ReasonPortNotFound, `deployment/quote has no port "grpc"; choose one of: http (80, service/quote)`},
	}
	for _, c := range cases {
		t.Run(c.reason, func(t *testing.T) {
			ic := newWorld(t, interceptor.Funcs{}, c.ic).reconcile("alice")
			if got := condition(ic, v1alpha1.ConditionResolved); got.Reason != c.reason || got.Message != c.text {
				t.Errorf("got %s: %s", got.Reason, got.Message)
			}
			if ic.Status.State != v1alpha1.StateError {
				t.Errorf("state is %s", ic.Status.State)
			}
		})
	}
}

func TestPortGoesToTheOlderClaim(t *testing.T) {
	then := time.Now().Add(-time.Hour).Truncate(time.Second)
	w := newWorld(t, interceptor.Funcs{}, intercept("alice", then), intercept("bob", then.Add(time.Minute)))
	w.reconcile("alice")
	bob := w.reconcile("bob")
	want := "port http of deployment/quote is intercepted by alice since " + then.UTC().Format("2006-01-02 15:04:05 UTC") + " (intercept quote-alice)"
	if c := condition(bob, v1alpha1.ConditionResolved); c.Reason != v1alpha1.ReasonPortTaken || c.Message != want {
		t.Errorf("got %s: %s", c.Reason, c.Message)
	}
}

// A laptop that went away keeps others off its port for a minute, no longer.
func TestAbsentLaptopLosesItsPort(t *testing.T) {
	for _, c := range []struct {
		away  time.Duration
		taken bool
	}{{10 * time.Second, true}, {2 * time.Minute, false}} {
		then := time.Now().Add(-time.Hour)
		w := newWorld(t, interceptor.Funcs{}, intercept("alice", then), intercept("bob", then.Add(time.Minute)))
		w.reconcile("alice")
		w.connected("alice", false, time.Now().Add(-c.away))
		bob := w.reconcile("bob")
		if taken := condition(bob, v1alpha1.ConditionResolved).Reason == v1alpha1.ReasonPortTaken; taken != c.taken {
			t.Errorf("away for %s: taken is %v, want %v", c.away, taken, c.taken)
		}
	}
}

// A laptop that comes back after its port went to another has to wait for it,
// also while the other one is away for a moment.
func TestPortHasOneOwner(t *testing.T) {
	then := time.Now().Add(-time.Hour)
	w := newWorld(t, interceptor.Funcs{}, intercept("alice", then), intercept("bob", then.Add(time.Minute)))
	activate := func(user string) {
		t.Helper()
		w.reports(w.reconcile(user), agentSays("quote-1", v1alpha1.PodActive))
		if ic := w.reconcile(user); !active(ic) {
			t.Fatalf("%s is %+v", user, ic.Status)
		}
	}
	owner := func(want string) {
		t.Helper()
		w.reconcile("alice")
		w.reconcile("bob")
		for _, user := range []string{"alice", "bob"} {
			wanted := v1alpha1.ReasonPortTaken
			if user == want {
				wanted = v1alpha1.ReasonResolved
			}
			if got := condition(w.reconcile(user), v1alpha1.ConditionResolved); got.Reason != wanted {
				t.Errorf("%s: %s, want %s", user, got.Reason, wanted)
			}
		}
		p, err := plan.New(w, system, plan.Answers{}).Pod(context.Background(), "shop", "quote-1", "p")
		if ports := p.Ports(); err != nil || len(ports) != 1 || len(ports[0].Routes) != 1 || ports[0].Routes[0].Session != want {
			t.Errorf("plan is %v, %v", ports, err)
		}
	}
	activate("alice")
	owner("alice")
	w.connected("alice", false, time.Now().Add(-2*time.Minute))
	w.reconcile("bob") // before anybody has looked at alice
	owner("bob")
	activate("bob")
	w.connected("alice", true, time.Now())
	owner("bob")
	w.connected("bob", false, time.Now().Add(-10*time.Second))
	owner("bob")
	w.connected("bob", false, time.Now().Add(-2*time.Minute))
	owner("alice")
}

func TestPodSecurityIsExplained(t *testing.T) {
	refuse := interceptor.Funcs{SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
		if sub == "ephemeralcontainers" {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, o.GetName(),
				errors.New(`violates PodSecurity "restricted:latest": unrestricted capabilities`))
		}
		return c.SubResource(sub).Patch(ctx, o, p, opts...)
	}}
	ic := intercept("alice", time.Now())
	ic.Spec.Inject = v1alpha1.InjectEphemeral
	c := condition(newWorld(t, refuse, ic).reconcile("alice"), v1alpha1.ConditionAgentsReady)
	if c.Reason != v1alpha1.ReasonPodSecurity || !strings.Contains(c.Message, "kubectl label namespace shop") {
		t.Errorf("got %s: %s", c.Reason, c.Message)
	}
}

// A deleted Intercept stays until its agents do not redirect for it any more.
func TestReleaseWaitsForAgents(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{}, intercept("alice", time.Now()))
	ic := w.reconcile("alice")
	w.reports(ic, agentSays("quote-1", v1alpha1.PodActive))
	if err := w.Delete(context.Background(), ic); err != nil {
		t.Fatal(err)
	}
	ic = w.reconcile("alice")
	if len(ic.Finalizers) == 0 {
		t.Fatal("released while an agent redirects")
	}
	w.reports(ic)
	key := types.NamespacedName{Namespace: "shop", Name: "quote-alice"}
	if _, err := w.ics.Reconcile(context.Background(), ctrl.Request{NamespacedName: key}); err != nil {
		t.Fatal(err)
	}
	if err := w.Get(context.Background(), key, ic); !apierrors.IsNotFound(err) {
		t.Errorf("still there after the last agent redirects no more: %v", err)
	}
}

func TestDeletedSessionEndsItsIntercepts(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{}, intercept("alice", time.Now()), intercept("bob", time.Now()))
	if err := w.Delete(context.Background(), session("alice", true, time.Now())); err != nil {
		t.Fatal(err)
	}
	if _, err := w.ses.Reconcile(context.Background(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: system, Name: "alice"}}); err != nil {
		t.Fatal(err)
	}
	var list v1alpha1.InterceptList
	if err := w.List(context.Background(), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 1 || list.Items[0].Spec.User != "bob" {
		t.Errorf("left are %v", list.Items)
	}
}

// A relay whose pod is gone is removed, and a Session without a relay is not connected.
func TestSessionForgetsDeadRelays(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{})
	key := types.NamespacedName{Namespace: system, Name: "alice"}
	if _, err := w.ses.Reconcile(context.Background(), ctrl.Request{NamespacedName: key}); err != nil {
		t.Fatal(err)
	}
	var s v1alpha1.Session
	if err := w.Get(context.Background(), key, &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Status.Relays) != 0 || s.Status.Conditions[0].Status != metav1.ConditionFalse {
		t.Errorf("status is %+v", s.Status)
	}
}

// TestSessionTellsOfTheNetwork: once, and not again while nothing changes.
func TestSessionTellsOfTheNetwork(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{})
	key := types.NamespacedName{Namespace: system, Name: "alice"}
	network := &v1alpha1.SessionNetwork{ClusterDomain: "cluster.local", ServiceCIDRs: []string{"10.96.0.0/16"},
		DNS: v1alpha1.SessionDNS{Mappings: []v1alpha1.DNSMapping{}}} // empty, as a configuration has it
	w.ses.Network = func() *v1alpha1.SessionNetwork { return network }
	version := ""
	for _, want := range []string{"10.96.0.0/16", "10.96.0.0/16", "10.96.0.0/12"} {
		network.ServiceCIDRs[0] = want
		if _, err := w.ses.Reconcile(context.Background(), ctrl.Request{NamespacedName: key}); err != nil {
			t.Fatal(err)
		}
		var s v1alpha1.Session
		if err := w.Get(context.Background(), key, &s); err != nil {
			t.Fatal(err)
		}
		if s.Status.Network == nil || s.Status.Network.ClusterDomain != "cluster.local" || s.Status.Network.ServiceCIDRs[0] != want {
			t.Fatalf("network is %+v, want %s", s.Status.Network, want)
		}
		if written := s.ResourceVersion != version; written != (version == "" || want == "10.96.0.0/12") {
			t.Errorf("%s: written %v", want, written)
		}
		version = s.ResourceVersion
	}
}
