package controller

import (
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// missed is a pod that the webhook was not asked about, and serves.
func missed(p *corev1.Pod) {
	p.Annotations, p.Spec.Containers = nil, p.Spec.Containers[:1]
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
			if l := w.pod(name).Labels; l[releasedLabel] != "alice" {
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
		w.step() // the fake client evicts on a dry run too
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
