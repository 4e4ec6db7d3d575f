package agents

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
	"github.com/kubectl-intercept/kubectl-intercept/manager/plan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// TestShare: a sidecar has the ports that it was made for, an ephemeral agent in the
// same pod the others, each port once.
func TestShare(t *testing.T) {
	with := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "with", Annotations: map[string]string{
		sidecar.Annotation: `{"uid":65431,"ports":[{"name":"http","number":8080,"protocol":"TCP","agent":9900}]}`}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: sidecar.Container}}}}
	without := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "without"}}
	s := &Server{reader: fake.NewClientBuilder().WithObjects(with, without).Build()}
	all := plan.Of(&rpc.CapturePort{Port: 8080}, &rpc.CapturePort{Port: 8080, Protocol: rpc.Protocol_UDP}, &rpc.CapturePort{Port: 8081})
	for _, tt := range []struct {
		pod       string
		isSidecar bool
		want      string
	}{
		{"with", true, "8080/TCP "}, {"with", false, "8080/UDP 8081/TCP "},
		{"without", false, "8080/TCP 8080/UDP 8081/TCP "}, {"without", true, ""}, {"gone", false, ""},
	} {
		own, err := s.share(context.Background(), pki.Pod{Namespace: "shop", Name: tt.pod}, all, &rpc.AgentReport{Sidecar: tt.isSidecar})
		got := ""
		for _, p := range own.Ports() {
			got += fmt.Sprintf("%d/%s ", p.Port, p.Protocol)
		}
		if err != nil || got != tt.want {
			t.Errorf("%s, sidecar %t: %q, %v", tt.pod, tt.isSidecar, got, err)
		}
	}
}
