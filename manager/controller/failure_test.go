package controller

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/orphan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/replacement"
	"github.com/kubectl-intercept/kubectl-intercept/manager/shoptest"
)

// firstRetry and longestRetry are the Replacer's pauses after a failure.
const firstRetry, longestRetry = time.Minute, 30 * time.Minute

// A pod that the webhook missed is replaced when it is tried again, which takes
// longer each time.
func TestReplaceTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := asked(t)
		w.Made("quote-2", shoptest.Missed)
		fails := func(waiting time.Duration) {
			t.Helper()
			for since := time.Now(); time.Since(since) < waiting; time.Sleep(10*time.Second - betweenSteps) {
				if got := condition(w.step(), v1alpha1.ConditionAgentsReady); got.Reason != v1alpha1.ReasonWebhookUnreachable {
					t.Fatalf("after %s %s: %s", time.Since(since), got.Reason, got.Message)
				}
			}
			w.step()
		}
		replaces := func(name string) {
			t.Helper()
			if l := w.Pod(name).Labels; l[orphan.Label] != "alice" {
				t.Fatalf("%s has labels %v", name, l)
			}
		}
		w.step()
		w.Must(w.Delete(t.Context(), w.Pod("quote-1"))) // of two, the ReplicaSet chose that one
		fails(firstRetry)
		replaces("quote-2")
		w.Made("quote-3", shoptest.Missed)
		w.step()
		w.Must(w.Delete(t.Context(), w.Pod("quote-3")))
		fails(2 * firstRetry)
		replaces("quote-2")
		w.Made("quote-4", shoptest.ComesUp)
		w.step()
		w.Must(w.Delete(t.Context(), w.Pod("quote-2"))) // out of its Services, as the Janitor does
		if got := condition(w.step(), v1alpha1.ConditionAgentsReady); got.Reason != v1alpha1.ReasonAttaching {
			t.Errorf("after all went well %s: %s", got.Reason, got.Message)
		}
	})
}

// What came up after all is not held against an intercept.
func TestFailureEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := asked(t)
		w.successor(func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "quote", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}}}
		})
		if got := condition(w.step(), v1alpha1.ConditionAgentsReady); got.Reason != v1alpha1.ReasonPodNotReady {
			t.Fatalf("%s: %s", got.Reason, got.Message)
		}
		w.Must(w.Delete(t.Context(), w.Pod("quote-1")))
		p := w.Pod("quote-2")
		shoptest.ComesUp(p)
		w.Must(w.Status().Update(t.Context(), p))
		if got := condition(w.step(), v1alpha1.ConditionAgentsReady); got.Reason != v1alpha1.ReasonAttaching {
			t.Errorf("%s: %s", got.Reason, got.Message)
		}
	})
}

// Where pods have to go first, one that does not come up with a sidecar makes
// room for one without, for as long as the intercept is what it is.
func TestReplaceAbandons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ic := intercept("alice", time.Now())
		ic.Spec.Inject = v1alpha1.InjectSidecar
		w := withReplicaSet(t, ic)
		w.Deployment(func(d *appsv1.Deployment) { d.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType })
		j := &replacement.Janitor{Replacer: w.ics.Replacer}
		pods := func() string {
			var list corev1.PodList
			w.Must(w.List(t.Context(), &list, client.InNamespace("shop")))
			var names []string
			for _, p := range list.Items {
				names = append(names, p.Name)
			}
			return strings.Join(names, " ")
		}
		look := func(reason string, mode v1alpha1.InjectMode, left string) {
			t.Helper()
			time.Sleep(3 * time.Second)
			ic := w.reconcile("alice")
			w.Must(j.Tidy(t.Context(), time.Now()))
			if got := condition(ic, v1alpha1.ConditionAgentsReady); got.Reason != reason || ic.Status.Injection != mode || pods() != left {
				t.Fatalf("pods %s, injection %q, %s: %s", pods(), ic.Status.Injection, got.Reason, got.Message)
			}
		}
		starts := func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "traffic-agent", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}}}}
		}
		look(v1alpha1.ReasonReplacing, v1alpha1.InjectSidecar, "quote-1") // the webhook is to know first
		look(v1alpha1.ReasonReplacing, v1alpha1.InjectSidecar, "")
		w.Made("quote-2", starts)
		look(v1alpha1.ReasonReplacing, v1alpha1.InjectSidecar, "quote-2")
		p := w.Pod("quote-2")
		p.Status.ContainerStatuses[0].State.Waiting.Reason = "ImagePullBackOff"
		w.Must(w.Status().Update(t.Context(), p))
		w.Must(j.Tidy(t.Context(), time.Now()))
		look(v1alpha1.ReasonImagePull, "", "")
		w.Made("quote-3", shoptest.Missed)
		for range 3 {
			look(v1alpha1.ReasonImagePull, "", "quote-3")
			time.Sleep(longestRetry)
		}
		var changed v1alpha1.Intercept
		w.Must(w.Get(t.Context(), client.ObjectKeyFromObject(ic), &changed))
		if m := changed.Status.Message; !strings.HasSuffix(m, "; the application's pods are made without a sidecar again until the intercept is changed or made anew") {
			t.Error(m)
		}
		changed.Generation = 2
		w.Must(w.Update(t.Context(), &changed))
		look(v1alpha1.ReasonReplacing, v1alpha1.InjectSidecar, "quote-3")
		look(v1alpha1.ReasonReplacing, v1alpha1.InjectSidecar, "")
	})
}

// An intercept that has its sidecars does not lose them for ever because the
// application does not come up later.
func TestReplaceAbandonsNothingThatWorked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ic := intercept("alice", time.Now())
		ic.Spec.Inject = v1alpha1.InjectSidecar
		w := withReplicaSet(t, ic)
		w.Deployment(func(d *appsv1.Deployment) { d.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType })
		w.step() // the webhook is to know first
		w.step()
		if err := w.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "quote-1"}, &corev1.Pod{}); !apierrors.IsNotFound(err) {
			t.Fatalf("the pod was not evicted: %v", err)
		}
		w.successor(shoptest.ComesUp)
		w.step()
		w.step()
		time.Sleep(2 * firstRetry)
		p := w.Pod("quote-2")
		p.Status.Conditions[0].Status = corev1.ConditionFalse
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "quote", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}}}
		w.Must(w.Status().Update(t.Context(), p))
		w.Must((&replacement.Janitor{Replacer: w.ics.Replacer}).Tidy(t.Context(), time.Now()))
		ic = w.reconcile("alice")
		if got := condition(ic, v1alpha1.ConditionAgentsReady); got.Reason != v1alpha1.ReasonPodNotReady || ic.Status.Injection != v1alpha1.InjectSidecar {
			t.Errorf("injection %q, %s: %s", ic.Status.Injection, got.Reason, got.Message)
		}
	})
}
