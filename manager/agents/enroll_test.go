package agents

import (
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
)

// An agent may start before the API server knows its pod's address. Its call waits, and
// is answered with "try again" if that takes long. A refusal would end the agent.
func TestEnrollmentWaitsForTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote-1"}}
		c := fake.NewClientBuilder().WithObjects(pod).WithStatusSubresource(pod).Build()
		s := &Server{reader: c}
		who := pki.Pod{Namespace: "shop", Name: "quote-1"}
		if _, err := s.addressed(t.Context(), who); status.Code(err) != codes.Unavailable {
			t.Errorf("without an address: %v", err)
		}
		time.AfterFunc(time.Second, func() {
			pod.Status.PodIPs = []corev1.PodIP{{IP: "10.0.0.7"}}
			if err := c.Status().Update(t.Context(), pod); err != nil {
				t.Error(err)
			}
		})
		got, err := s.addressed(t.Context(), who)
		if err != nil || got.Status.PodIPs[0].IP != "10.0.0.7" {
			t.Errorf("got %+v, %v", got, err)
		}
		who.Name = "gone"
		if _, err := s.addressed(t.Context(), who); status.Code(err) != codes.Unavailable {
			t.Errorf("of a pod that is gone: %v", err)
		}
	})
}
