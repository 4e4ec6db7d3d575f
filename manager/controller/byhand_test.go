package controller

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// daemon is a world whose pod belongs to daemonset/quote, which alice intercepts by a
// sidecar, by its own name or by its Service's.
func daemon(t *testing.T, strategy appsv1.DaemonSetUpdateStrategy, ref v1alpha1.WorkloadReference) *world {
	t.Helper()
	set := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote", UID: "ds"},
		Spec: appsv1.DaemonSetSpec{UpdateStrategy: strategy, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "quote"}}}}
	set.Status.DesiredNumberScheduled = 1
	ic := ofService(v1alpha1.InjectSidecar)
	ic.Spec.Workload = ref
	w := withReplicaSet(t, ic, set)
	p := w.pod("quote-1")
	set.Spec.Template.Labels, set.Spec.Template.Spec = map[string]string{"app": "quote"}, p.Spec
	w.must(w.Update(t.Context(), set))
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "quote", UID: "ds", Controller: ptr.To(true)}}
	w.must(w.Update(t.Context(), p))
	w.step() // the webhook is to know first
	return w
}

// TestDaemonSetStrategies: a DaemonSet's pod is evicted only where its strategy lets
// others than people have it replaced, and what that costs is said.
func TestDaemonSetStrategies(t *testing.T) {
	rolling := func(unavailable, surge intstr.IntOrString) appsv1.DaemonSetUpdateStrategy {
		return appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType,
			RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &unavailable, MaxSurge: &surge}}
	}
	byHand := appsv1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType}
	for name, tt := range map[string]struct {
		strategy appsv1.DaemonSetUpdateStrategy
		goes     bool
		says     string
	}{
		"the old one first": {rolling(intstr.FromInt32(1), intstr.FromInt32(0)), true, "replacing pod quote-1 by one with a sidecar"},
		"no strategy":       {appsv1.DaemonSetUpdateStrategy{}, true, "replacing pod quote-1 by one with a sidecar"},
		"the new one first": {rolling(intstr.FromInt32(0), intstr.FromString("10%")), true,
			"its node has none until the new one is ready, as maxSurge of daemonset/quote counts only when its template changes"},
		"by hand": {byHand, false, "waiting until you delete the pods of daemonset/quote, whose updateStrategy is OnDelete: kubectl delete pod quote-1 -n shop"},
	} {
		for kind, ref := range map[string]v1alpha1.WorkloadReference{
			"DaemonSet": {APIVersion: "apps/v1", Kind: "DaemonSet", Name: "quote"}, "Service": {APIVersion: "v1", Kind: "Service", Name: "quote"},
		} {
			t.Run(name+", by its "+kind, func(t *testing.T) {
				w := daemon(t, tt.strategy, ref)
				got := condition(w.step(), v1alpha1.ConditionAgentsReady)
				if got.Reason != v1alpha1.ReasonReplacing || !strings.HasSuffix(got.Message, tt.says) {
					t.Errorf("%s: %s", got.Reason, got.Message)
				}
				err := w.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "quote-1"}, &corev1.Pod{})
				if apierrors.IsNotFound(err) != tt.goes {
					t.Errorf("the pod: %v", err)
				}
			})
		}
	}
}

// TestByHand: whoever deletes the pod gets one with a sidecar; one that is not ready
// yet is waited for, and the old ones stay also where they are not ready.
func TestByHand(t *testing.T) {
	w := daemon(t, appsv1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType}, v1alpha1.WorkloadReference{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "quote"})
	old := w.pod("quote-1")
	old.Status.Conditions = nil
	w.must(w.Status().Update(t.Context(), old))
	if got := condition(w.step(), v1alpha1.ConditionAgentsReady); !strings.HasSuffix(got.Message, "kubectl delete pod quote-1 -n shop") {
		t.Errorf("%s: %s", got.Reason, got.Message)
	}
	set, err := resolve.Get(t.Context(), w, "shop", v1alpha1.WorkloadReference{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "quote"})
	w.must(err)
	first := w.pod("quote-1")
	first.Name = "quote-0"
	may, byHand, err := w.ics.evictable(t.Context(), set, []*corev1.Pod{w.pod("quote-1"), first})
	w.must(err)
	if len(may) != 0 || byHand == nil || !strings.Contains(byHand.message, "delete pod quote-0 ") {
		t.Errorf("of two in any order: %v, %+v", may, byHand)
	}
	old = w.pod("quote-1")
	owned := old.OwnerReferences
	old.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	w.must(w.Status().Update(t.Context(), old))
	second := func(p *corev1.Pod) {
		p.UID, p.OwnerReferences = types.UID("p2"), owned
		p.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.2"}
	}
	w.made("quote-2", second)
	if got := condition(w.step(), v1alpha1.ConditionAgentsReady); !strings.HasSuffix(got.Message, "waiting for pod quote-2 to be ready") {
		t.Errorf("%s: %s", got.Reason, got.Message)
	}
	w.must(w.Delete(t.Context(), w.pod("quote-1")))
	fresh := w.pod("quote-2")
	fresh.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	w.must(w.Status().Update(t.Context(), fresh))
	if got := condition(w.step(), v1alpha1.ConditionAgentsReady); got.Reason == v1alpha1.ReasonReplacing {
		t.Errorf("%s: %s", got.Reason, got.Message)
	}
}

// TestJanitorLeavesItToPeople: an idle sidecar stays where only people delete pods,
// until somebody asks for its removal.
func TestJanitorLeavesItToPeople(t *testing.T) {
	now := time.Now()
	w := daemon(t, appsv1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType}, v1alpha1.WorkloadReference{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "quote"})
	owned := w.pod("quote-1").OwnerReferences
	w.must(w.Delete(t.Context(), w.pod("quote-1")))
	w.made("quote-2", func(p *corev1.Pod) { comesUp(p); p.OwnerReferences = owned })
	ic := w.reconcile("alice")
	ic.Finalizers = nil
	w.must(w.Update(t.Context(), ic))
	w.must(w.Delete(t.Context(), ic))
	j := &Janitor{Intercepts: w.ics, MaxIdle: time.Minute}
	tidy := func(at time.Time) bool {
		clear(w.ics.acted)
		w.must(j.Tidy(t.Context(), at))
		return apierrors.IsNotFound(w.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "quote-2"}, &corev1.Pod{}))
	}
	if tidy(now) || tidy(now.Add(time.Hour)) {
		t.Fatal("an idle sidecar's pod was evicted")
	}
	p := w.pod("quote-2")
	metav1.SetMetaDataAnnotation(&p.ObjectMeta, sidecar.LeaveAnnotation, "now")
	w.must(w.Update(t.Context(), p))
	if !tidy(now.Add(time.Hour)) {
		t.Error("it stays although somebody asked for its removal")
	}
}
