package inject

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// The agent takes no port that any container of the pod declares or is probed at, and a
// name means the port of a container that serves.
func TestPortsOfAllContainers(t *testing.T) {
	declares := func(name string, number int32) []corev1.ContainerPort {
		return []corev1.ContainerPort{{Name: name, ContainerPort: number}}
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "quote"}},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{
				{Name: "setup", Ports: declares("http", 9900)},
				{Name: "native", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways), Ports: declares("proxied", 9901),
					ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: 9902}}}}},
			Containers: []corev1.Container{{Name: "quote", Ports: declares("http", 8080),
				LivenessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(9903)}}}}},
		}}
	service := corev1.Service{Spec: corev1.ServiceSpec{Selector: pod.Labels,
		Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromString("http")}, {Port: 81, TargetPort: intstr.FromString("proxied")}}}}
	out, err := Sidecar(pod, Request{Services: []corev1.Service{service}, Intercepted: []v1alpha1.ResolvedPort{
		{Service: "quote", ContainerPortName: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP},
		{Service: "quote", ContainerPortName: "proxied", ContainerPort: 9901, Protocol: corev1.ProtocolTCP}}}, config)
	if err != nil {
		t.Fatal(err)
	}
	got := map[uint16]uint16{}
	for _, p := range sidecar.Of(out).Ports {
		got[p.Number] = p.Agent
	}
	if len(got) != 2 || got[8080] != 9904 || got[9901] != 9905 {
		t.Errorf("the agent's ports are %v", got)
	}
}
