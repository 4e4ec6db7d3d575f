package resolve

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// chosen are the Services that count: the one that is asked for, or that the
// template's annotation names.
func chosen(w *Workload, wishes Wishes, services []corev1.Service, service string) ([]corev1.Service, error) {
	only := cmp.Or(wishes.Service, service)
	switch {
	case only == "":
		return services, nil
	case service != "" && service != only:
		return nil, &PortError{Service: service, Reason: fmt.Sprintf("service/%s of %s cannot be intercepted: the annotation service-name of its pod template admits service/%s only", service, w, only)}
	}
	i := slices.IndexFunc(services, func(s corev1.Service) bool { return s.Name == only })
	if i >= 0 {
		return services[i : i+1], nil
	}
	if service == "" {
		return nil, &PortError{Reason: fmt.Sprintf("the annotation service-name of %s names service/%s, which does not select its pods", w, only)}
	}
	e := &PortError{Service: service, Reason: fmt.Sprintf("service/%s does not select the pods of %s", only, w)}
	for _, s := range services {
		e.services = append(e.services, s.Name)
	}
	if len(services) == 0 {
		e.Reason += ", and no other Service does"
	}
	return nil, e
}

// candidates are all ports that can be named: those of the Services first,
// then those the containers declare, as far as the annotations admit them.
func candidates(w *Workload, wishes Wishes, services []corev1.Service) ([]v1alpha1.ResolvedPort, error) {
	var all []v1alpha1.ResolvedPort
	for _, s := range services {
		for _, sp := range s.Spec.Ports {
			if p := servicePort(&w.Spec, &s, sp); p.ContainerPort != 0 && wishes.Chooses(&s, sp) {
				all = append(all, p)
			}
		}
	}
	add := func(p v1alpha1.ResolvedPort) {
		if !slices.ContainsFunc(all, func(o v1alpha1.ResolvedPort) bool {
			return o.Service == "" && same(o, p) && o.ContainerPortName == p.ContainerPortName
		}) {
			all = append(all, p)
		}
	}
	ofServices := slices.Clone(all)
	declared := declaredPorts(&w.Spec)
	for _, p := range declared {
		if !wishes.Limited() || slices.ContainsFunc(ofServices, func(o v1alpha1.ResolvedPort) bool { return same(o, p) }) {
			add(p)
		}
	}
	for _, text := range wishes.ContainerPorts {
		p, err := ContainerPort(&w.Spec, text)
		if err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(declared, func(o v1alpha1.ResolvedPort) bool { return same(o, p) }); i >= 0 {
			p = declared[i] // under its name
		}
		add(p)
	}
	return all, nil
}

// servicePort is where a port of a Service leads; its ContainerPort is 0 when no
// container has the name that it leads to.
func servicePort(spec *corev1.PodSpec, s *corev1.Service, sp corev1.ServicePort) v1alpha1.ResolvedPort {
	p := v1alpha1.ResolvedPort{Service: s.Name, ServicePort: sp.Port, ServicePortName: sp.Name,
		Headless: s.Spec.ClusterIP == corev1.ClusterIPNone, Protocol: cmp.Or(sp.Protocol, corev1.ProtocolTCP), ContainerPort: sp.Port,
		AppProtocol: ptr.Deref(sp.AppProtocol, "")}
	switch {
	case sp.TargetPort.Type == intstr.String:
		p.ContainerPortName = sp.TargetPort.StrVal
		p.ContainerPort = namedPort(spec, sp.TargetPort.StrVal, p.Protocol)
	case sp.TargetPort.IntVal != 0:
		p.ContainerPort = sp.TargetPort.IntVal
	}
	return p
}

// declaredPorts are those that containers declare.
func declaredPorts(spec *corev1.PodSpec) []v1alpha1.ResolvedPort {
	var all []v1alpha1.ResolvedPort
	for _, c := range Containers(spec) {
		for _, cp := range c.Ports {
			all = append(all, v1alpha1.ResolvedPort{ContainerPort: cp.ContainerPort, ContainerPortName: cp.Name,
				Protocol: cmp.Or(cp.Protocol, corev1.ProtocolTCP)})
		}
	}
	return all
}

// Declares says whether a Service, a container or an annotation speaks of a
// resolved port; else only the user who asks for that number knows it.
func Declares(w *Workload, p v1alpha1.ResolvedPort) bool {
	if p.Service != "" || slices.ContainsFunc(declaredPorts(&w.Spec), func(o v1alpha1.ResolvedPort) bool { return same(o, p) }) {
		return true
	}
	wishes, err := ReadWishes(w.Annotations)
	return err == nil && slices.ContainsFunc(wishes.ContainerPorts, func(text string) bool {
		o, err := ContainerPort(&w.Spec, text)
		return err == nil && same(o, p)
	})
}

func namedPort(spec *corev1.PodSpec, name string, protocol corev1.Protocol) int32 {
	for _, c := range Containers(spec) {
		for _, p := range c.Ports {
			if p.Name == name && cmp.Or(p.Protocol, corev1.ProtocolTCP) == protocol {
				return p.ContainerPort
			}
		}
	}
	return 0
}

// Containers are those that serve while the pod runs: native sidecars too.
func Containers(spec *corev1.PodSpec) []corev1.Container {
	all := slices.Clone(spec.Containers)
	for _, c := range spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			all = append(all, c)
		}
	}
	return all
}
