package controller

import (
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// An agent is given up after one long silence, not after several short ones
// between which it has reported.
func TestSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "quote-1", UID: "1"},
			Spec: corev1.PodSpec{EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "traffic-agent"}}}},
			Status: corev1.PodStatus{EphemeralContainerStatuses: []corev1.ContainerStatus{
				{Name: "traffic-agent", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}}}
		reported := &v1alpha1.Intercept{Status: v1alpha1.InterceptStatus{Pods: []v1alpha1.PodStatus{{Name: "quote-1", State: v1alpha1.PodActive}}}}
		var r Intercepts
		for range 20 { // intercepts that come and go
			if r.silent(pod) {
				t.Fatal("an agent that reports each time is given up")
			}
			time.Sleep(time.Second)
			if !r.reports(reported, pod, &attached{}) {
				t.Fatal("the agent does not report")
			}
		}
		for began := time.Now(); time.Since(began) <= patience; time.Sleep(time.Second) {
			if r.silent(pod) {
				t.Fatalf("given up after %s", time.Since(began))
			}
		}
		if !r.silent(pod) {
			t.Error("an agent that does not report is waited for")
		}
	})
}
