package controller

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/orphan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/shoptest"
)

// ofService is alice's intercept of service/quote.
func ofService(mode v1alpha1.InjectMode) *v1alpha1.Intercept {
	ic := intercept("alice", time.Now())
	ic.Spec.Workload, ic.Spec.Inject = v1alpha1.WorkloadReference{APIVersion: "v1", Kind: "Service", Name: "quote"}, mode
	return ic
}

// TestServiceOneByOne: a Service does not say how many pods it wants; the StatefulSet
// behind it does, and while it has fewer none of them has to go.
func TestServiceOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for wants, goes := range map[int32]bool{1: true, 2: false} {
			set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote", UID: "s"},
				Spec: appsv1.StatefulSetSpec{Replicas: &wants, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "quote"}}}}
			w := withReplicaSet(t, ofService(v1alpha1.InjectSidecar), set)
			p := w.Pod("quote-1")
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "quote", UID: "s", Controller: ptr.To(true)}}
			w.Must(w.Update(t.Context(), p))
			w.step() // the webhook is to know first
			got := condition(w.step(), v1alpha1.ConditionAgentsReady)
			err := w.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "quote-1"}, &corev1.Pod{})
			if apierrors.IsNotFound(err) != goes {
				t.Errorf("of %d: %v; %s", wants, err, got.Message)
			}
			if !goes && !strings.Contains(got.Message, "waiting for the new pod of statefulset/quote") {
				t.Errorf("says %s", got.Message)
			}
			if !goes {
				continue
			}
			// Callers have left it, and there is no new one yet.
			if got := condition(w.step(), v1alpha1.ConditionAgentsReady); !strings.HasSuffix(got.Message, "waiting for the new pod") {
				t.Errorf("while the pod is made anew: %s: %s", got.Reason, got.Message)
			}
		}
	})
}

// TestServiceSuccessor: another workload's newer pod is not taken for the successor of an
// orphan.
func TestServiceSuccessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withReplicaSet(t, ofService(v1alpha1.InjectSidecar))
		w.step()
		w.step()
		if w.Pod("quote-1").Labels[orphan.Label] == "" {
			t.Fatal("the pod was not orphaned")
		}
		w.Made("other-1", func(p *corev1.Pod) {
			shoptest.ComesUp(p)
			p.UID, p.OwnerReferences = "o1", []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "other-a", UID: "o", Controller: ptr.To(true)}}
		})
		w.step()
		how, ok := orphan.Read(w.Pod("quote-1"))
		if !ok || how.Drained != nil {
			t.Fatalf("the other's pod is taken for the successor: %+v", how)
		}
		w.successor(shoptest.ComesUp)
		w.step()
		if how, _ := orphan.Read(w.Pod("quote-1")); how.Drained == nil {
			t.Error("its own successor is not seen")
		}
	})
}

// TestServiceWithoutPods: an intercept of a Service outlasts the pods, and keeps its
// claim; one that finds none says so.
func TestServiceWithoutPods(t *testing.T) {
	w := withReplicaSet(t, ofService(v1alpha1.InjectAuto))
	before := w.reconcile("alice")
	w.Must(w.Delete(t.Context(), w.Pod("quote-1")))
	ic := w.reconcile("alice")
	got := condition(ic, v1alpha1.ConditionAgentsReady)
	if got.Reason != v1alpha1.ReasonNoPods || !strings.HasPrefix(got.Message, "service/quote has no pod yet") || len(ic.Status.Ports) != len(before.Status.Ports) || len(ic.Status.Ports) == 0 {
		t.Errorf("%s: %s; ports %v", got.Reason, got.Message, ic.Status.Ports)
	}
	late := intercept("bob", time.Now().Add(time.Minute))
	late.Spec.Workload = ic.Spec.Workload
	w.Must(w.Create(t.Context(), late))
	if got := condition(w.reconcile("bob"), v1alpha1.ConditionResolved); got.Reason != v1alpha1.ReasonNoPods || got.Message != "service/quote has no pods: intercept the workload behind it, or start it" {
		t.Errorf("%s: %s", got.Reason, got.Message)
	}
	late.Status.Ports = ic.Status.Ports // known from before
	service, err := resolve.Get(t.Context(), w, "shop", late.Spec.Workload)
	w.Must(err)
	pods, err := service.Pods(t.Context(), w)
	w.Must(err)
	if p, _, err := w.ics.conflict(t.Context(), late, late.Status.Ports, service, pods); err != nil || p == nil || p.Reason != v1alpha1.ReasonPortTaken {
		t.Errorf("the claim of an intercept without pods is lost: %+v, %v", p, err)
	}
}

// TestAnnounced: what keeps an agent out is an Event, and what is only waited for
// is none.
func TestAnnounced(t *testing.T) {
	for reason, want := range map[string]int{v1alpha1.ReasonEvictionDenied: 1, v1alpha1.ReasonNotSupported: 1, v1alpha1.ReasonAgentFailed: 1,
		v1alpha1.ReasonSidecarConflict: 1, v1alpha1.ReasonHostNetwork: 1,
		v1alpha1.ReasonReplacing: 0, v1alpha1.ReasonDisruptionBudget: 0, v1alpha1.ReasonNoPods: 0} {
		w := newWorld(t, interceptor.Funcs{})
		ic := intercept("alice", time.Now())
		ic.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAgentsReady, Status: metav1.ConditionFalse, Reason: reason, Message: "because"}}
		w.ics.announce(t.Context(), intercept("alice", time.Now()), ic)
		if n := len(w.ics.Events.(*events.FakeRecorder).Events); n != want {
			t.Errorf("%s: %d events", reason, n)
		}
	}
}

// TestHostNetworkIsAnEvent: the reconciler says on the workload that its pods use
// the node's network.
func TestHostNetworkIsAnEvent(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{}, intercept("alice", time.Now()))
	p := w.Pod("quote-1")
	p.Spec.HostNetwork = true
	w.Must(w.Update(t.Context(), p))
	w.reconcile("alice")
	select {
	case e := <-w.ics.Events.(*events.FakeRecorder).Events:
		if !strings.Contains(e, "AgentInjectionFailed pod quote-1 uses the node's network") {
			t.Error(e)
		}
	default:
		t.Error("there is no Event")
	}
}
