package resolve

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// A named port is looked for in the containers that serve, in the order of Kubernetes.
func TestNamedPort(t *testing.T) {
	container := func(ports ...corev1.ContainerPort) corev1.Container { return corev1.Container{Ports: ports} }
	native := container(corev1.ContainerPort{Name: "proxied", ContainerPort: 15000}, corev1.ContainerPort{Name: "http", ContainerPort: 15001})
	native.RestartPolicy = ptr.To(corev1.ContainerRestartPolicyAlways)
	spec := &corev1.PodSpec{
		InitContainers: []corev1.Container{container(corev1.ContainerPort{Name: "setup", ContainerPort: 7000}), native},
		Containers: []corev1.Container{
			container(corev1.ContainerPort{Name: "http", ContainerPort: 8080}, corev1.ContainerPort{Name: "dns", ContainerPort: 53, Protocol: corev1.ProtocolUDP}),
			container(corev1.ContainerPort{Name: "http", ContainerPort: 9090})},
	}
	for name, tt := range map[string]struct {
		port     string
		protocol corev1.Protocol
		want     int32
	}{
		"the first container counts":   {"http", corev1.ProtocolTCP, 8080},
		"a native sidecar":             {"proxied", corev1.ProtocolTCP, 15000},
		"an init container that ends":  {"setup", corev1.ProtocolTCP, 0},
		"of this protocol":             {"dns", corev1.ProtocolUDP, 53},
		"of another protocol":          {"dns", corev1.ProtocolTCP, 0},
		"of any protocol":              {"dns", "", 53},
		"a name that nothing declares": {"web", "", 0},
	} {
		if got := NamedPort(Containers(spec), tt.port, tt.protocol); got != tt.want {
			t.Errorf("%s: got %d, want %d", name, got, tt.want)
		}
	}
}
