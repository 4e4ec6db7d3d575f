package resolve

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// defaultContainer is the annotation by which kubectl chooses a container.
const defaultContainer = "kubectl.kubernetes.io/default-container"

// StandInContainer is the container of a pod that is asked for, or that StandIn.Container says
// is meant; or why there is none. Ports are those that are intercepted.
func StandInContainer(want string, ports []v1alpha1.ResolvedPort, pod *corev1.Pod) (name, message string) {
	all := Containers(sidecar.Application(pod))
	var names []string
	for _, c := range all {
		names = append(names, c.Name)
	}
	switch byAnnotation := pod.Annotations[defaultContainer]; {
	case want != "" && slices.Contains(names, want):
		return want, ""
	case want != "":
		return "", fmt.Sprintf("pod %s has no container %q: it has %s", pod.Name, want, strings.Join(names, ", "))
	case len(names) == 0:
		return "", fmt.Sprintf("pod %s has no container but its agent", pod.Name)
	case len(ports) == 0 && slices.Contains(names, byAnnotation):
		return byAnnotation, ""
	case len(ports) > 0:
		number := PortIn(pod, ports[0])
		for _, c := range all {
			if slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.ContainerPort == number }) {
				return c.Name, ""
			}
		}
	}
	return names[0], ""
}

// Template is a pod as a workload makes it.
func (w *Workload) Template() *corev1.Pod {
	pod := &corev1.Pod{Spec: w.Spec}
	pod.Namespace, pod.Labels, pod.Annotations = w.Namespace, w.Labels, w.Annotations
	return pod
}

// ProbedPorts are the numbers of the ports that the kubelet probes of a container, in order.
func ProbedPorts(spec *corev1.PodSpec, container string) (numbers []int32) {
	for _, c := range Containers(spec) {
		for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
			if c.Name != container || p == nil {
				continue
			}
			switch {
			case p.HTTPGet != nil:
				numbers = append(numbers, HandlerPort(&c, p.HTTPGet.Port))
			case p.TCPSocket != nil:
				numbers = append(numbers, HandlerPort(&c, p.TCPSocket.Port))
			case p.GRPC != nil:
				numbers = append(numbers, p.GRPC.Port)
			}
		}
	}
	slices.Sort(numbers)
	return slices.DeleteFunc(slices.Compact(numbers), func(n int32) bool { return n == 0 })
}

// Unintercepted are those of the numbers of TCP ports in a pod which are not among ports.
func Unintercepted(numbers []int32, ports []v1alpha1.ResolvedPort, pod *corev1.Pod) (more []v1alpha1.ResolvedPort) {
	for _, n := range numbers {
		if !slices.ContainsFunc(ports, func(p v1alpha1.ResolvedPort) bool {
			return cmp.Or(p.Protocol, corev1.ProtocolTCP) == corev1.ProtocolTCP && PortIn(pod, p) == n
		}) {
			more = append(more, v1alpha1.ResolvedPort{ContainerPort: n, Protocol: corev1.ProtocolTCP})
		}
	}
	return more
}

// HandlerPort returns the number of the port of a probe or a hook; 0 if there is none. A name
// means a port of the handler's own container, of whatever protocol.
func HandlerPort(c *corev1.Container, port intstr.IntOrString) int32 {
	if port.Type == intstr.Int {
		return port.IntVal
	}
	if n := NamedPort([]corev1.Container{*c}, port.StrVal, ""); n != 0 {
		return n
	}
	n, _ := strconv.ParseInt(port.StrVal, 10, 32)
	return int32(n)
}
