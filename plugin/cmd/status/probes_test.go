package status

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// Status tells of probes that an intercept may have made fail, not of those that fail in
// every pod that starts.
func TestFailedProbes(t *testing.T) {
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	for name, c := range map[string]struct {
		pod      string
		failed   int
		restarts int32
		ready    corev1.ConditionStatus
		since    int // when Ready became so
		told     bool
	}{
		"before the intercept":                   {pod: "web", failed: -1, ready: corev1.ConditionTrue, since: -60},
		"before the agent":                       {pod: "web", failed: 4, ready: corev1.ConditionFalse, since: 0},
		"in a ready pod":                         {pod: "web", failed: 9, ready: corev1.ConditionTrue, since: -60, told: true},
		"and the pod is not ready any more":      {pod: "web", failed: 9, ready: corev1.ConditionFalse, since: 10, told: true},
		"while the pod started":                  {pod: "web", failed: 9, ready: corev1.ConditionTrue, since: 20},
		"and the kubelet restarted a container":  {pod: "web", failed: 9, restarts: 1, ready: corev1.ConditionTrue, since: 20, told: true},
		"in another pod":                         {pod: "other", failed: 9, ready: corev1.ConditionTrue, since: -60},
		"in a pod that has gone in the meantime": {pod: "gone", failed: 9, told: true},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}, Status: corev1.PodStatus{
				Conditions:        []corev1.PodCondition{{Type: corev1.PodReady, Status: c.ready, LastTransitionTime: metav1.NewTime(at(c.since))}},
				ContainerStatuses: []corev1.ContainerStatus{{RestartCount: c.restarts}},
			}}
			ic := &v1alpha1.Intercept{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", CreationTimestamp: metav1.NewTime(noon)}}
			for _, name := range []string{"web", "gone"} {
				ic.Status.Pods = append(ic.Status.Pods, v1alpha1.PodStatus{Name: name, Ports: []v1alpha1.PodPort{{Since: metav1.NewMicroTime(at(5))}}})
			}
			events := []corev1.Event{{
				InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: c.pod},
				Reason:         "Unhealthy", LastTimestamp: metav1.NewTime(at(c.failed)),
			}}
			got := failedProbes(t.Context(), fake.NewClientBuilder().WithObjects(pod).Build(), events, ic)
			if told := len(got) == 1; told != c.told {
				t.Errorf("told of %+v", got)
			}
		})
	}
}
