package controller

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// replacing is a user's Intercept of mode Replace, of no port.
func replacing(user string) *v1alpha1.Intercept {
	ic := intercept(user, time.Now())
	ic.Spec.Mode, ic.Spec.Ports, ic.Spec.StandIn = v1alpha1.ModeReplace, []v1alpha1.InterceptPort{}, &v1alpha1.StandIn{}
	return ic
}

// containerSays is what the agent beside container quote of quote-1 says of it.
func containerSays(state v1alpha1.PodState, message string) v1alpha1.PodStatus {
	return v1alpha1.PodStatus{Name: "quote-1", UID: "p", State: state, Container: &v1alpha1.PodContainer{Name: "quote", State: state, Message: message, Since: metav1.NowMicro()}}
}

// Without ports and probes, mode Replace brings one agent, beside the container, and is active
// once that has stopped it.
func TestReplaceWithoutPorts(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{}, replacing("alice"))
	got := w.reconcile("alice")
	if got.Status.State != v1alpha1.StateWaiting || got.Status.Message != "stopping the container: done in 0 of 1 pods" {
		t.Errorf("before the agent runs: %s, %s", got.Status.State, got.Status.Message)
	}
	if c := w.started(); c.Name != "stand-in-agent" || c.TargetContainerName != "quote" {
		t.Errorf("the agent is %+v", c)
	}
	for _, test := range []struct {
		says    v1alpha1.PodStatus
		state   v1alpha1.InterceptState
		message string
	}{
		{containerSays(v1alpha1.PodVerifying, ""), v1alpha1.StateWaiting, "stopping the container: done in 0 of 1 pods"},
		{containerSays(v1alpha1.PodError, "another program debugs it"), v1alpha1.StateError, "container quote of pod quote-1 runs: another program debugs it"},
		{containerSays(v1alpha1.PodActive, ""), v1alpha1.StateActive, ""},
	} {
		w.reports(got, test.says)
		if got = w.reconcile("alice"); got.Status.State != test.state || got.Status.Message != test.message {
			t.Errorf("once the agent says %s: %s, %s", test.says.State, got.Status.State, got.Status.Message)
		}
	}
	if len(w.Pod("quote-1").Spec.EphemeralContainers) != 1 || len(got.Status.ProbePorts) != 0 {
		t.Errorf("the pod has agents %+v, for the probes of %+v", w.Pod("quote-1").Spec.EphemeralContainers, got.Status.ProbePorts)
	}
	w.connected("alice", false, time.Now())
	w.reports(got)
	if got = w.reconcile("alice"); got.Status.State != v1alpha1.StateDisconnected {
		t.Errorf("with the laptop away: %s, %s", got.Status.State, got.Status.Message)
	}
}

// probe gives the container of quote, and of its pod, a liveness probe.
func (w *world) probe(port int32) {
	w.T.Helper()
	p := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(port)}}}
	var d appsv1.Deployment
	w.Must(w.Get(context.Background(), client.ObjectKey{Namespace: "shop", Name: "quote"}, &d))
	d.Spec.Template.Spec.Containers[0].LivenessProbe = p
	w.Must(w.Update(context.Background(), &d))
	pod := w.Pod("quote-1")
	pod.Spec.Containers[0].LivenessProbe = p
	w.Must(w.Update(context.Background(), pod))
}

// A port that the kubelet probes is captured, so that agents answer there, although nobody
// intercepts it.
func TestReplaceOfAProbedContainer(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{}, replacing("alice"))
	w.probe(9999)
	got := w.reconcile("alice")
	if p := got.Status.ProbePorts; len(p) != 1 || p[0].ContainerPort != 9999 || len(got.Status.Ports) != 0 || got.Status.Port != "" {
		t.Errorf("the ports are %+v and, for probes, %+v", got.Status.Ports, p)
	}
	if n := len(w.Pod("quote-1").Spec.EphemeralContainers); n == 0 {
		t.Error("the pod has no agent")
	}
	port := v1alpha1.PodPort{Port: 9999, Protocol: corev1.ProtocolTCP, State: v1alpha1.PodActive}
	says := containerSays(v1alpha1.PodActive, "")
	says.Ports = []v1alpha1.PodPort{port}
	got = w.reconcile("alice")
	w.reports(got, says)
	if got = w.reconcile("alice"); got.Status.State != v1alpha1.StateActive {
		t.Errorf("once both agents report: %s, %s", got.Status.State, got.Status.Message)
	}
}

// With a sidecar nobody would answer the probes, and the message says what to type.
func TestReplaceBesideASidecar(t *testing.T) {
	for inject, want := range map[v1alpha1.InjectMode]string{
		v1alpha1.InjectSidecar: "nobody would answer there but an ephemeral agent: use --inject ephemeral",
		v1alpha1.InjectAuto:    "",
	} {
		ic := replacing("alice")
		ic.Spec.Inject = inject
		w := newWorld(t, interceptor.Funcs{}, ic)
		w.probe(8080)
		got := w.reconcile("alice")
		if want == "" && got.Status.State == v1alpha1.StateError || want != "" && (got.Status.State != v1alpha1.StateError || !strings.HasSuffix(got.Status.Message, want)) {
			t.Errorf("with %s: %s, %s", inject, got.Status.State, got.Status.Message)
		}
		if inject == v1alpha1.InjectSidecar && len(w.Pod("quote-1").Spec.EphemeralContainers) > 0 {
			t.Error("the pod has an agent although the intercept is refused")
		}
	}
}

// One intercept at a time can stop a container, and a global one of a port that it takes is
// refused like any other. An ingest can be beside it.
func TestReplaceConflicts(t *testing.T) {
	on := func(ic *v1alpha1.Intercept, container string) *v1alpha1.Intercept {
		ic.Spec.StandIn.Container = container
		return ic
	}
	http := func(ic *v1alpha1.Intercept) *v1alpha1.Intercept {
		ic.Spec.Ports = intercept("x", time.Now()).Spec.Ports
		return ic
	}
	ingest := ingesting()
	ingest.Name, ingest.UID, ingest.Spec.User, ingest.Spec.Session = "quote-bob", "bob", "bob", "bob"
	for name, test := range map[string]struct {
		first, second *v1alpha1.Intercept
		want          string
	}{
		"the same container":  {replacing("alice"), on(replacing("bob"), "quote"), "container quote of deployment/quote is replaced by alice since "},
		"a global one":        {http(replacing("alice")), intercept("bob", time.Now()), "port http of deployment/quote is intercepted by alice since "},
		"of a global port":    {intercept("alice", time.Now()), http(replacing("bob")), "port http of deployment/quote is intercepted by alice since "},
		"an ingest":           {replacing("alice"), ingest, ""},
		"a global port apart": {replacing("alice"), intercept("bob", time.Now()), ""},
	} {
		t.Run(name, func(t *testing.T) {
			test.first.CreationTimestamp = metav1.NewTime(time.Now().Add(-time.Minute))
			w := newWorld(t, interceptor.Funcs{}, test.first, test.second)
			w.reconcile("alice")
			got := condition(w.reconcile("bob"), v1alpha1.ConditionResolved)
			if test.want == "" && got.Status != metav1.ConditionTrue || test.want != "" && !strings.HasPrefix(got.Message, test.want) {
				t.Errorf("%s: %s", got.Status, got.Message)
			}
		})
	}
}
