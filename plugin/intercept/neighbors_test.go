package intercept

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/topod"
)

func TestNeighbors(t *testing.T) {
	ports := func(protocol corev1.Protocol, numbers ...int32) (all []corev1.ContainerPort) {
		for _, n := range numbers {
			all = append(all, corev1.ContainerPort{ContainerPort: n, Protocol: protocol})
		}
		return all
	}
	spec := &corev1.PodSpec{
		Containers: []corev1.Container{
			{Name: "quote", Ports: ports("", 8080)},
			{Name: "cache", Ports: append(ports(corev1.ProtocolTCP, 6379, 9121, 3000), ports(corev1.ProtocolSCTP, 132)...)},
			{Name: "stats", Ports: ports(corev1.ProtocolUDP, 8125)},
		},
		InitContainers: []corev1.Container{
			{Name: "init", Ports: ports("", 1)},
			{Name: "proxy", Ports: ports("", 15000), RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways)},
		},
	}
	typed := []topod.Port{{Number: 9121}}
	for own, want := range map[string]string{
		"quote": "9121,6379,8125/udp,15000",
		"cache": "9121,8080,8125/udp,15000",
	} {
		if got := topod.Format(withNeighbors(typed, spec, own, []int32{3000})); got != want {
			t.Errorf("beside %s: %s, want %s", own, got, want)
		}
	}
	if len(typed) != 1 || typed[0] != (topod.Port{Number: 9121, Protocol: frame.TCP}) {
		t.Errorf("what was typed is now %v", typed)
	}
}
