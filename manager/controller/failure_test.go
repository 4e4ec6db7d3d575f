package controller

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/orphan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// missed is a pod that the webhook was not asked about, and serves.
func missed(p *corev1.Pod) {
	p.Annotations, p.Spec.Containers = nil, p.Spec.Containers[:1]
	p.Spec.Containers[0].Ports[0].Name = "http"
	comesUp(p)
}

func comesUp(p *corev1.Pod) {
	p.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.2", Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
}

// A pod that the webhook missed is replaced when it is tried again, which takes
// longer each time.
func TestReplaceTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := asked(t)
		w.made("quote-2", missed)
		fails := func(waiting time.Duration) {
			t.Helper()
			for since := time.Now(); time.Since(since) < waiting; time.Sleep(10 * time.Second) {
				if got := condition(w.step(), v1alpha1.ConditionAgentsReady); got.Reason != v1alpha1.ReasonWebhookUnreachable {
					t.Fatalf("after %s %s: %s", time.Since(since), got.Reason, got.Message)
				}
			}
			w.step()
		}
		replaces := func(name string) {
			t.Helper()
			if l := w.pod(name).Labels; l[orphan.Label] != "alice" {
				t.Fatalf("%s has labels %v", name, l)
			}
		}
		w.step()
		w.must(w.Delete(t.Context(), w.pod("quote-1"))) // of two, the ReplicaSet chose that one
		fails(failureLife)
		replaces("quote-2")
		w.made("quote-3", missed)
		w.step()
		w.must(w.Delete(t.Context(), w.pod("quote-3")))
		fails(2 * failureLife)
		replaces("quote-2")
		w.made("quote-4", comesUp)
		w.step()
		w.must(w.Delete(t.Context(), w.pod("quote-2"))) // out of its Services, as the Janitor does
		if w.step(); len(w.ics.failed) != 0 || len(w.ics.wanted) != 0 {
			t.Errorf("after all went well: failed %v, wanted %v", w.ics.failed, w.ics.wanted)
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
		w.must(w.Delete(t.Context(), w.pod("quote-1")))
		p := w.pod("quote-2")
		comesUp(p)
		w.must(w.Status().Update(t.Context(), p))
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
		w.deployment(func(d *appsv1.Deployment) { d.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType })
		j := &Janitor{Intercepts: w.ics}
		pods := func() string {
			var list corev1.PodList
			w.must(w.List(t.Context(), &list, client.InNamespace("shop")))
			var names []string
			for _, p := range list.Items {
				names = append(names, p.Name)
			}
			return strings.Join(names, " ")
		}
		look := func(reason string, mode v1alpha1.InjectMode, left string) {
			t.Helper()
			time.Sleep(2 * settleDown)
			ic := w.reconcile("alice")
			w.must(j.Tidy(t.Context(), time.Now()))
			if got := condition(ic, v1alpha1.ConditionAgentsReady); got.Reason != reason || ic.Status.Injection != mode || pods() != left {
				t.Fatalf("pods %s, injection %q, %s: %s", pods(), ic.Status.Injection, got.Reason, got.Message)
			}
		}
		starts := func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "traffic-agent", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}}}}
		}
		look(v1alpha1.ReasonReplacing, v1alpha1.InjectSidecar, "quote-1") // the webhook is to know first
		look(v1alpha1.ReasonReplacing, v1alpha1.InjectSidecar, "")
		w.made("quote-2", starts)
		look(v1alpha1.ReasonReplacing, v1alpha1.InjectSidecar, "quote-2")
		p := w.pod("quote-2")
		p.Status.ContainerStatuses[0].State.Waiting.Reason = "ImagePullBackOff"
		w.must(w.Status().Update(t.Context(), p))
		w.must(j.Tidy(t.Context(), time.Now()))
		look(v1alpha1.ReasonImagePull, "", "")
		w.made("quote-3", missed)
		for range 3 {
			look(v1alpha1.ReasonImagePull, "", "quote-3")
			time.Sleep(longestFailure)
		}
		var changed v1alpha1.Intercept
		w.must(w.Get(t.Context(), client.ObjectKeyFromObject(ic), &changed))
		if m := changed.Status.Message; !strings.HasSuffix(m, "; the application's pods are made without a sidecar again until the intercept is changed or made anew") {
			t.Error(m)
		}
		changed.Generation = 2
		w.must(w.Update(t.Context(), &changed))
		look(v1alpha1.ReasonReplacing, v1alpha1.InjectSidecar, "quote-3")
		look(v1alpha1.ReasonReplacing, v1alpha1.InjectSidecar, "")
	})
}

// An intercept that has its sidecars does not lose them for ever because the
// application does not come up later.
func TestReplaceAbandonsNothingThatWorked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := asked(t)
		w.deployment(func(d *appsv1.Deployment) { d.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType })
		w.must(w.Delete(t.Context(), w.pod("quote-1")))
		w.successor(comesUp)
		w.ics.evicted["d"] = time.Now()
		time.Sleep(2 * drainTime)
		w.reconcile("alice")
		time.Sleep(2 * failureLife)
		p := w.pod("quote-2")
		p.Status.Conditions[0].Status = corev1.ConditionFalse
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "quote", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}}}
		w.must(w.Status().Update(t.Context(), p))
		w.must((&Janitor{Intercepts: w.ics}).Tidy(t.Context(), time.Now()))
		ic := w.reconcile("alice")
		if got := condition(ic, v1alpha1.ConditionAgentsReady); got.Reason != v1alpha1.ReasonPodNotReady || ic.Status.Injection != v1alpha1.InjectSidecar {
			t.Errorf("injection %q, %s: %s", ic.Status.Injection, got.Reason, got.Message)
		}
	})
}

func (w *world) deployment(change func(*appsv1.Deployment)) {
	w.t.Helper()
	var d appsv1.Deployment
	w.must(w.Get(context.Background(), client.ObjectKey{Namespace: "shop", Name: "quote"}, &d))
	change(&d)
	w.must(w.Update(context.Background(), &d))
}
