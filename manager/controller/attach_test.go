package controller

import (
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/shoptest"
)

// An agent is given up after one long silence, not after several short ones
// between which it has reported.
func TestSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "quote-1", UID: "1"},
			Spec: corev1.PodSpec{EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "traffic-agent"}}}},
			Status: corev1.PodStatus{EphemeralContainerStatuses: []corev1.ContainerStatus{
				{Name: "traffic-agent", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}}}
		reported := []v1alpha1.PodStatus{{Name: "quote-1", State: v1alpha1.PodActive}}
		var s silences
		for range 20 { // intercepts that come and go
			if tooLong(s.observe(pod), pod) {
				t.Fatal("an agent that reports each time is given up")
			}
			time.Sleep(time.Second)
			if reportOf(reported, pod) == nil {
				t.Fatal("the agent does not report")
			}
			s.end(pod)
		}
		for began := time.Now(); time.Since(began) <= patience; time.Sleep(time.Second) {
			if tooLong(s.observe(pod), pod) {
				t.Fatalf("given up after %s", time.Since(began))
			}
		}
		if !tooLong(s.observe(pod), pod) {
			t.Error("an agent that does not report is waited for")
		}
	})
}

// Agents that ended while no manager was there are followed by others, one
// that has no status yet is waited for.
func TestEndedAgentsAreReplaced(t *testing.T) {
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}
	for name, c := range map[string]struct {
		agents []string
		status []corev1.ContainerState // of the first ones
		kept   bool
	}{
		"ended":                 {[]string{"traffic-agent"}, []corev1.ContainerState{ended}, false},
		"a pod of its name":     {nil, nil, false},
		"no status yet":         {[]string{"traffic-agent"}, nil, true},
		"the next has none yet": {[]string{"traffic-agent", "traffic-agent-2"}, []corev1.ContainerState{ended}, true},
		"the next runs":         {[]string{"traffic-agent", "traffic-agent-2"}, []corev1.ContainerState{ended, running}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, interceptor.Funcs{}, intercept("alice", time.Now()))
			pod := w.Pod("quote-1")
			for _, a := range c.agents {
				pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: a}})
			}
			w.Must(w.Update(t.Context(), pod))
			for i, s := range c.status {
				pod.Status.EphemeralContainerStatuses = append(pod.Status.EphemeralContainerStatuses, corev1.ContainerStatus{Name: c.agents[i], State: s})
			}
			w.Must(w.Status().Update(t.Context(), pod))
			var ic v1alpha1.Intercept
			w.Must(w.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "quote-alice"}, &ic))
			w.reports(&ic, v1alpha1.PodStatus{Name: "quote-1", State: v1alpha1.PodActive})
			now := w.reconcile("alice")
			want := len(c.agents)
			if !c.kept {
				want++
			}
			if got := len(w.Pod("quote-1").Spec.EphemeralContainers); (len(now.Status.Pods) > 0) != c.kept || got != want {
				t.Errorf("status %+v, %d agents, want %d", now.Status.Pods, got, want)
			}
		})
	}
}

// A sidecar that knows another traffic-manager never reports: that is said after
// a while, and not any more once it does.
func TestSidecarDoesNotReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withReplicaSet(t, intercept("alice", time.Now()))
		w.Must(w.Delete(t.Context(), w.Pod("quote-1")))
		w.successor(shoptest.ComesUp)
		const says = "pod quote-2: its sidecar does not report; if another installation of the traffic-manager made it, delete the pod"
		look := func(reason, message string) *v1alpha1.Intercept {
			t.Helper()
			ic := w.reconcile("alice")
			if got := condition(ic, v1alpha1.ConditionAgentsReady); got.Reason != reason || message != "" && got.Message != message {
				t.Fatalf("%s: %s", got.Reason, got.Message)
			}
			return ic
		}
		for range 13 {
			look(v1alpha1.ReasonAttaching, "")
			time.Sleep(5 * time.Second)
		}
		ic := look(v1alpha1.ReasonAgentFailed, says)
		w.reports(ic, v1alpha1.PodStatus{Name: "quote-2", State: v1alpha1.PodVerifying})
		ic = look(v1alpha1.ReasonVerifying, "")
		w.reports(ic)
		look(v1alpha1.ReasonAttaching, "") // it begins anew
	})
}
