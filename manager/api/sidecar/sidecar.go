// Package sidecar reads what the injector made of a pod: which ports the agent
// in it stands in front of, and what the pod was before.
package sidecar

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

const (
	// Annotation holds an rpc.Sidecar, as JSON, on a pod with a sidecar agent.
	Annotation = v1alpha1.Group + "/agent"
	// LeaveAnnotation on a pod asks the agent in it to leave, unless an
	// intercept needs it. Its value is a time.
	LeaveAnnotation = v1alpha1.Group + "/agent-leave"
	// Container is the agent, InitContainer what sets its redirect, unless the
	// application has such names itself.
	Container     = "traffic-agent"
	InitContainer = "traffic-agent-init"
)

// Of returns what the injector wrote on a pod; nil for a pod without a sidecar
// agent. An annotation without the container, as a copied manifest has it, does
// not count.
func Of(p *corev1.Pod) *rpc.Sidecar {
	text := p.Annotations[Annotation]
	if text == "" {
		return nil
	}
	s, err := rpc.ParseSidecar(text)
	if err != nil || !slices.ContainsFunc(p.Spec.Containers, func(c corev1.Container) bool { return c.Name == cmp.Or(s.Container, Container) }) {
		return nil
	}
	return s
}

// Covers says whether a sidecar stands in front of a port of the application.
func Covers(s *rpc.Sidecar, number int32, protocol corev1.Protocol) bool {
	return s != nil && slices.ContainsFunc(s.Ports, func(p rpc.SidecarPort) bool {
		return int32(p.Number) == number && p.Protocol == string(cmp.Or(protocol, corev1.ProtocolTCP))
	})
}

// Leads says whether a sidecar stands where the callers of a resolved port
// come, which has the number in its pod: who knows a number needs a redirect, a
// name can be taken over.
func Leads(s *rpc.Sidecar, r v1alpha1.ResolvedPort, number int32) bool {
	byNumber := r.Service == "" || r.ContainerPortName == "" || r.Headless
	return Covers(s, number, r.Protocol) && !(byNumber && TakenOver(s, number))
}

// TakenOver says that the agent has the name of a port: the kubelet's probes
// and whoever calls the number reach the application past the agent.
func TakenOver(s *rpc.Sidecar, number int32) bool {
	return s != nil && slices.ContainsFunc(s.Ports, func(p rpc.SidecarPort) bool { return int32(p.Number) == number && p.TakesName() })
}

// Application is the pod's spec as its owner wrote it, as far as ports go: no
// agent, and its ports under their own names.
func Application(p *corev1.Pod) *corev1.PodSpec {
	s := Of(p)
	if s == nil {
		return &p.Spec
	}
	spec := p.Spec.DeepCopy()
	named := func(name string) func(corev1.Container) bool {
		return func(c corev1.Container) bool { return c.Name == name }
	}
	spec.Containers = slices.DeleteFunc(spec.Containers, named(cmp.Or(s.Container, Container)))
	spec.InitContainers = slices.DeleteFunc(spec.InitContainers, named(cmp.Or(s.InitContainer, InitContainer)))
	for _, taken := range s.Ports {
		if !taken.TakesName() || taken.Name == "" {
			continue
		}
		if !rename(spec.Containers, taken) {
			rename(spec.InitContainers, taken)
		}
	}
	return spec
}

func rename(list []corev1.Container, taken rpc.SidecarPort) bool {
	for i := range list {
		for k := range list[i].Ports {
			port := &list[i].Ports[k]
			if port.Name == "" && port.ContainerPort == int32(taken.Number) && string(cmp.Or(port.Protocol, corev1.ProtocolTCP)) == taken.Protocol {
				port.Name = taken.Name
				return true
			}
		}
	}
	return false
}

// Handlers calls visit with every way by which the kubelet is told to call a
// container: by its probes, and by its lifecycle hooks. Visit may change what the
// pointers of the handlers lead to.
func Handlers(c *corev1.Container, visit func(h corev1.ProbeHandler, hook bool)) {
	for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if p != nil {
			visit(p.ProbeHandler, false)
		}
	}
	if c.Lifecycle == nil {
		return
	}
	for _, h := range []*corev1.LifecycleHandler{c.Lifecycle.PostStart, c.Lifecycle.PreStop} {
		if h != nil {
			visit(corev1.ProbeHandler{HTTPGet: h.HTTPGet, TCPSocket: h.TCPSocket}, true)
		}
	}
}

// HandlerPorts calls visit with every port of Handlers that may have a name. Visit
// may change it.
func HandlerPorts(c *corev1.Container, visit func(*intstr.IntOrString)) {
	Handlers(c, func(h corev1.ProbeHandler, _ bool) {
		if h.HTTPGet != nil {
			visit(&h.HTTPGet.Port)
		}
		if h.TCPSocket != nil {
			visit(&h.TCPSocket.Port)
		}
	})
}
