package controller

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/orphan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/inject"
	"github.com/kubectl-intercept/kubectl-intercept/manager/replacement"
	"github.com/kubectl-intercept/kubectl-intercept/manager/shoptest"
)

// worker is a pod of another owner with the same labels, and perhaps no such port.
func worker(port string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "worker-1", UID: "w", Labels: map[string]string{"app": "quote"},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: "worker", UID: "j", Controller: ptr.To(true)}}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "worker", Ports: []corev1.ContainerPort{{Name: port, ContainerPort: 8080}}}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.3", PodIPs: []corev1.PodIP{{IP: "10.0.0.3"}},
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}}
}

// TestOthersPods: another owner's pods get no agent by an intercept of the
// workload, of either kind, and keep no sidecar from its own; an intercept of the
// Service has them if they have the port.
func TestOthersPods(t *testing.T) {
	service := v1alpha1.WorkloadReference{APIVersion: "v1", Kind: "Service", Name: "quote"}
	for name, tt := range map[string]struct {
		port   string
		inject v1alpha1.InjectMode
		ref    *v1alpha1.WorkloadReference
		reason string
		agents int // in the other's pod
	}{
		"ephemeral":                {"http", v1alpha1.InjectAuto, nil, v1alpha1.ReasonAttaching, 0},
		"sidecar":                  {"http", v1alpha1.InjectSidecar, nil, v1alpha1.ReasonReplacing, 0},
		"the Service":              {"http", v1alpha1.InjectAuto, &service, v1alpha1.ReasonAttaching, 1},
		"the Service, not the job": {"other", v1alpha1.InjectAuto, &service, v1alpha1.ReasonAttaching, 0},
	} {
		simulated(t, name, func(t *testing.T) {
			ic := intercept("alice", time.Now())
			ic.Spec.Inject = tt.inject
			if tt.ref != nil {
				ic.Spec.Workload = *tt.ref
			}
			w := withReplicaSet(t, ic, worker(tt.port))
			got := condition(w.step(), v1alpha1.ConditionAgentsReady)
			if got.Reason != tt.reason {
				t.Errorf("%s: %s", got.Reason, got.Message)
			}
			if n := len(w.Pod("worker-1").Spec.EphemeralContainers); n != tt.agents {
				t.Errorf("%d agents in the other's pod", n)
			}
			if tt.inject == v1alpha1.InjectAuto && len(w.Pod("quote-1").Spec.EphemeralContainers) != 1 {
				t.Error("no agent in the workload's own pod")
			}
		})
	}
}

// TestNobodyHasThePort: agents that would have nothing to do are not brought, and
// it is said what is waited for.
func TestNobodyHasThePort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withReplicaSet(t, intercept("alice", time.Now()))
		p := w.Pod("quote-1")
		p.Spec.Containers[0].Ports = nil // of an older revision
		w.Must(w.Update(t.Context(), p))
		ic := w.step()
		if got := condition(ic, v1alpha1.ConditionAgentsReady); ic.Status.State != v1alpha1.StateWaiting ||
			got.Message != "no pod of deployment/quote has port http; the intercept begins with the first that has" {
			t.Errorf("%s, %s: %s", ic.Status.State, got.Reason, got.Message)
		}
		if n := len(w.Pod("quote-1").Spec.EphemeralContainers); n != 0 {
			t.Errorf("%d agents", n)
		}
	})
}

// TestDisabled: an annotation keeps every kind of agent out, of the template and of
// a pod alone.
func TestDisabled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const says = "disabled by annotation telepresence.io/inject-traffic-agent"
		annotations := map[string]string{"telepresence.io/inject-traffic-agent": "disabled"}
		for _, mode := range []v1alpha1.InjectMode{v1alpha1.InjectAuto, v1alpha1.InjectEphemeral, v1alpha1.InjectSidecar} {
			ic := intercept("alice", time.Now())
			ic.Spec.Inject = mode
			w := withReplicaSet(t, ic)
			w.template(func(s *corev1.PodTemplateSpec) { s.Annotations = annotations })
			if got := condition(w.step(), v1alpha1.ConditionResolved); got.Reason != v1alpha1.ReasonNotSupported || got.Message != "deployment/quote cannot be intercepted: "+says {
				t.Errorf("%s: %s: %s", mode, got.Reason, got.Message)
			}
			w = withReplicaSet(t, ic)
			p := w.Pod("quote-1")
			p.Annotations = annotations
			w.Must(w.Update(t.Context(), p))
			if got := condition(w.step(), v1alpha1.ConditionAgentsReady); got.Reason != v1alpha1.ReasonInjectionDisabled || got.Message != "pod quote-1 cannot be intercepted: "+says {
				t.Errorf("%s: %s: %s", mode, got.Reason, got.Message)
			}
			if n := len(w.Pod("quote-1").Spec.EphemeralContainers); n != 0 || w.Pod("quote-1").Labels[orphan.Label] != "" {
				t.Errorf("%s: the pod has %d agents, labels %v", mode, n, w.Pod("quote-1").Labels)
			}
		}
	})
}

// TestTooManyAgents: the pod has had as many as it may, and the last one says
// nothing.
func TestTooManyAgents(t *testing.T) {
	w := withReplicaSet(t, intercept("alice", time.Now()))
	p := w.Pod("quote-1")
	for range inject.MaxAgents {
		name := inject.Observe(p).Next
		p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: name}})
		p.Status.EphemeralContainerStatuses = append(p.Status.EphemeralContainerStatuses, corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}})
	}
	p.Status.EphemeralContainerStatuses[inject.MaxAgents-1].State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	if got := w.ics.Agents.bring(t.Context(), p, 0); got != nil {
		t.Errorf("%s before the last one was waited for", got.Message)
	}
	if got := w.ics.Agents.bring(t.Context(), p, 2*patience); got == nil || got.Reason != v1alpha1.ReasonAgentsEnded || !strings.Contains(got.Message, "pod quote-1: 10 agents were brought into it") {
		t.Errorf("%+v", got)
	}
}

// TestAgentsThatEndAtOnce: a pod does not use up the agents that it may have in
// seconds. One that ended is replaced at once, as its end may have a cause that has
// passed.
func TestAgentsThatEndAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withReplicaSet(t, intercept("alice", time.Now()))
		began := time.Now()
		var brought []time.Duration
		for time.Since(began) < 10*time.Minute {
			p := w.Pod("quote-1")
			if n := len(p.Spec.EphemeralContainers); n > len(brought) {
				brought = append(brought, time.Since(began))
				p.Status.EphemeralContainerStatuses = append(p.Status.EphemeralContainerStatuses, corev1.ContainerStatus{
					Name: p.Spec.EphemeralContainers[n-1].Name, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Message: "no such manager",
						StartedAt: metav1.NewTime(time.Now().Add(-time.Second)), FinishedAt: metav1.Now()}}})
				w.Must(w.Status().Update(t.Context(), p))
			}
			ic := w.reconcile("alice")
			got := condition(ic, v1alpha1.ConditionAgentsReady)
			if len(brought) == 3 && got.Message != "pod quote-1: the agent ended with exit code 1: no such manager; the next one of 10 at most is brought within 16s" && got.Reason != v1alpha1.ReasonAttaching {
				t.Errorf("%s: %s", got.Reason, got.Message)
			}
			time.Sleep(time.Second)
		}
		if n := len(brought); n != inject.MaxAgents || brought[1] > 5*time.Second || brought[2] < 5*time.Second || brought[n-1] < 5*time.Minute {
			t.Errorf("agents were brought at %s", brought)
		}
	})
}

// TestEphemeralDenied: whoever it was that denied, a sidecar is next, and the
// status names the denier.
func TestEphemeralDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deny := interceptor.Funcs{SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			if sub != "ephemeralcontainers" {
				return c.SubResource(sub).Patch(ctx, o, p, opts...)
			}
			return &apierrors.StatusError{ErrStatus: metav1.Status{Code: http.StatusBadRequest, Message: `admission webhook "validate.kyverno.svc-fail" denied the request: no`}}
		}}
		ic := newWorld(t, deny, intercept("alice", time.Now())).begun().step()
		if got := condition(ic, v1alpha1.ConditionAgentsReady); got.Reason != v1alpha1.ReasonReplacing || ic.Status.Injection != v1alpha1.InjectSidecar ||
			ic.Status.InjectionReason != "the admission webhook validate.kyverno.svc-fail refuses an ephemeral container" {
			t.Errorf("%s: %s; %s (%s)", got.Reason, got.Message, ic.Status.Injection, ic.Status.InjectionReason)
		}
	})
}

// TestEvictionDenied: that a pod may not go is found out before it is an orphan.
func TestEvictionDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deny := interceptor.Funcs{SubResourceCreate: func(context.Context, client.Client, string, client.Object, client.Object, ...client.SubResourceCreateOption) error {
			return &apierrors.StatusError{ErrStatus: metav1.Status{Code: http.StatusBadRequest, Message: `admission webhook "keep.pods" denied the request: no`}}
		}}
		ic := intercept("alice", time.Now())
		ic.Spec.Inject = v1alpha1.InjectSidecar
		w := newWorld(t, deny, ic).begun()
		w.step() // the webhook is to know first
		got := w.step()
		if c := condition(got, v1alpha1.ConditionAgentsReady); got.Status.State != v1alpha1.StateError || c.Reason != v1alpha1.ReasonEvictionDenied ||
			!strings.Contains(c.Message, "the admission webhook keep.pods does not let pod quote-1 be evicted") || !strings.Contains(c.Message, "kubectl delete pod quote-1 -n shop") {
			t.Errorf("%s: %s", c.Reason, c.Message)
		}
		if l := w.Pod("quote-1").Labels; l[orphan.Label] != "" || l["hash"] != "a" {
			t.Errorf("labels %v", l)
		}
		// The same when a sidecar is to leave.
		w.successor(shoptest.ComesUp)
		w.Must(w.Delete(t.Context(), w.Pod("quote-1")))
		w.Must(w.Delete(t.Context(), got))
		w.Must(w.Get(t.Context(), client.ObjectKeyFromObject(got), got))
		got.Finalizers = nil
		w.Must(w.Update(t.Context(), got))
		j := &replacement.Janitor{Replacer: w.ics.Replacer, MaxIdle: time.Nanosecond}
		for range 3 {
			time.Sleep(betweenSteps)
			w.Must(j.Tidy(t.Context(), time.Now()))
		}
		if l := w.Pod("quote-2").Labels; l[orphan.Label] != "" || l["hash"] != "a" {
			t.Errorf("labels %v", l)
		}
	})
}

// rescheduleTime is how long the Replacer waits for the scheduler.
const rescheduleTime = 15 * time.Second

// TestRoom: a pod for which another had to go has no node until that has gone, and
// the scheduler has tried again.
func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ic := intercept("alice", time.Now())
		ic.Spec.Inject = v1alpha1.InjectSidecar
		w := withReplicaSet(t, ic)
		w.Deployment(func(d *appsv1.Deployment) { d.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType })
		look := func(reason string) {
			t.Helper()
			time.Sleep(3 * time.Second)
			if got := condition(w.reconcile("alice"), v1alpha1.ConditionAgentsReady); got.Reason != reason {
				t.Fatalf("%s: %s", got.Reason, got.Message)
			}
		}
		look(v1alpha1.ReasonReplacing)
		old := w.Pod("quote-1")
		old.Finalizers = []string{"test/going"}
		w.Must(w.Update(t.Context(), old))
		look(v1alpha1.ReasonReplacing) // it is evicted, and takes its time
		w.successor(func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable}}
		})
		for began := time.Now(); time.Since(began) < 2*rescheduleTime; {
			look(v1alpha1.ReasonReplacing)
		}
		old = w.Pod("quote-1")
		old.Finalizers = nil
		w.Must(w.Update(t.Context(), old))
		look(v1alpha1.ReasonReplacing)
		time.Sleep(rescheduleTime)
		look(v1alpha1.ReasonUnschedulable)
	})
}

// TestSameOwner: of what ReplicaSets tell, only whose they are matters.
func TestSameOwner(t *testing.T) {
	of := func(uid types.UID, pods int32) *appsv1.ReplicaSet {
		return &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{{UID: uid, Controller: ptr.To(true)}}},
			Status: appsv1.ReplicaSetStatus{Replicas: pods}}
	}
	if !SameOwner(of("a", 1), of("a", 2)) || SameOwner(of("a", 1), of("b", 1)) || SameOwner(of("a", 1), &appsv1.ReplicaSet{}) || SameOwner(&corev1.Pod{}, &corev1.Pod{}) {
		t.Error("wrong")
	}
}

// TestNoSurge: where a pod more than wanted may not be, the old one goes first.
func TestNoSurge(t *testing.T) {
	surge := func(n intstr.IntOrString) appsv1.DeploymentStrategy {
		return appsv1.DeploymentStrategy{RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &n}}
	}
	for name, tt := range map[string]struct {
		strategy appsv1.DeploymentStrategy
		evicted  bool
	}{
		"default":  {appsv1.DeploymentStrategy{}, false},
		"one":      {surge(intstr.FromInt32(1)), false},
		"a share":  {surge(intstr.FromString("25%")), false},
		"none":     {surge(intstr.FromInt32(0)), true},
		"no share": {surge(intstr.FromString("0%")), true},
		"recreate": {appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}, true},
	} {
		simulated(t, name, func(t *testing.T) {
			ic := intercept("alice", time.Now())
			ic.Spec.Inject = v1alpha1.InjectSidecar
			w := withReplicaSet(t, ic)
			w.Deployment(func(d *appsv1.Deployment) { d.Spec.Strategy = tt.strategy })
			w.step()
			w.step()
			var list corev1.PodList
			w.Must(w.List(t.Context(), &list, client.InNamespace("shop")))
			if evicted := len(list.Items) == 0; evicted != tt.evicted {
				t.Errorf("evicted: %t", evicted)
			}
		})
	}
}
