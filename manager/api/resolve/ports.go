package resolve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// Services lists, by name, the Services of the namespace that select the
// workload's pods; for a workload that is a Service, that one.
func Services(ctx context.Context, r client.Reader, w *Workload) ([]corev1.Service, error) {
	var list corev1.ServiceList
	if err := r.List(ctx, &list, client.InNamespace(w.Namespace)); err != nil {
		return nil, err
	}
	return Selecting(list.Items, w), nil
}

// Selecting keeps the Services that select the workload's pods, by name.
func Selecting(all []corev1.Service, w *Workload) []corev1.Service {
	var found []corev1.Service
	for _, s := range all {
		if w.Ref.Kind == "Service" {
			if s.Name == w.Ref.Name {
				found = append(found, s)
			}
			continue
		}
		if Selects(&s, w.Labels) {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b corev1.Service) int { return cmp.Compare(a.Name, b.Name) })
	return found
}

// revisionLabel is how Argo Rollouts points a Service at one revision of a
// Rollout: it adds the label to the pods and to the Service's selector. The
// Rollout's template does not have it.
const revisionLabel = "rollouts-pod-template-hash"

// Selects says whether a Service selects pods with these labels, or would once
// their revision is the one it is pointed at.
func Selects(s *corev1.Service, pod map[string]string) bool {
	wanted := labels.Set{}
	for k, v := range s.Spec.Selector {
		if k != revisionLabel {
			wanted[k] = v
		}
	}
	return len(wanted) > 0 && wanted.AsSelector().Matches(labels.Set(pod))
}

// Ports resolves the asked ports against Services and the pod template. An
// empty Protocol in an ask means whichever the port has; a number that no
// Service knows is a container port.
func Ports(w *Workload, services []corev1.Service, service string, asks []v1alpha1.InterceptPort) ([]v1alpha1.ResolvedPort, error) {
	found, err := resolvePorts(w, services, service, asks)
	var e *PortError
	if errors.As(err, &e) {
		e.advise(func(service string, asks []v1alpha1.InterceptPort) []v1alpha1.ResolvedPort {
			found, err := resolvePorts(w, services, service, asks)
			if err != nil {
				return nil
			}
			return found
		}, service, asks)
	}
	return found, err
}

func resolvePorts(w *Workload, services []corev1.Service, service string, asks []v1alpha1.InterceptPort) ([]v1alpha1.ResolvedPort, error) {
	if service != "" {
		i := slices.IndexFunc(services, func(s corev1.Service) bool { return s.Name == service })
		if i < 0 {
			e := &PortError{Service: service, Reason: fmt.Sprintf("service/%s does not select the pods of %s", service, w)}
			for _, s := range services {
				e.services = append(e.services, s.Name)
			}
			if len(services) == 0 {
				e.Reason += ", and no other Service does"
			}
			return nil, e
		}
		services = services[i : i+1]
	}
	known := candidates(w, services)
	var out []v1alpha1.ResolvedPort
	for _, ask := range asks {
		p, err := pick(w, known, ask)
		if err != nil {
			return nil, err
		}
		p.LocalHost, p.LocalPort = ask.LocalHost, ask.LocalPort
		for _, other := range out {
			if other.ContainerPort == p.ContainerPort && other.Protocol == p.Protocol {
				return nil, &PortError{Port: ask.Port, Reason: fmt.Sprintf("two --port flags lead to port %d of %s", p.ContainerPort, w)}
			}
		}
		out = append(out, p)
	}
	return out, nil
}

// candidates are all ports that can be named: those of the Services first,
// then those the containers declare.
func candidates(w *Workload, services []corev1.Service) []v1alpha1.ResolvedPort {
	var all []v1alpha1.ResolvedPort
	for _, s := range services {
		for _, sp := range s.Spec.Ports {
			p := v1alpha1.ResolvedPort{Service: s.Name, ServicePort: sp.Port, ServicePortName: sp.Name,
				Headless: s.Spec.ClusterIP == corev1.ClusterIPNone, Protocol: cmp.Or(sp.Protocol, corev1.ProtocolTCP), ContainerPort: sp.Port}
			switch {
			case sp.TargetPort.Type == intstr.String:
				p.ContainerPortName = sp.TargetPort.StrVal
				p.ContainerPort = namedPort(&w.Spec, sp.TargetPort.StrVal, p.Protocol)
				if p.ContainerPort == 0 {
					continue // no container has it: this Service leads nowhere
				}
			case sp.TargetPort.IntVal != 0:
				p.ContainerPort = sp.TargetPort.IntVal
			}
			all = append(all, p)
		}
	}
	for _, c := range containers(&w.Spec) {
		for _, cp := range c.Ports {
			all = append(all, v1alpha1.ResolvedPort{ContainerPort: cp.ContainerPort, ContainerPortName: cp.Name,
				Protocol: cmp.Or(cp.Protocol, corev1.ProtocolTCP)})
		}
	}
	return all
}

func pick(w *Workload, known []v1alpha1.ResolvedPort, ask v1alpha1.InterceptPort) (v1alpha1.ResolvedPort, error) {
	fits := func(match func(v1alpha1.ResolvedPort) bool) []v1alpha1.ResolvedPort {
		var found []v1alpha1.ResolvedPort
		for _, p := range known {
			if (ask.Protocol == "" || p.Protocol == ask.Protocol) && match(p) {
				found = append(found, p)
			}
		}
		return found
	}
	number, _ := strconv.Atoi(ask.Port)
	steps := []func(v1alpha1.ResolvedPort) bool{
		// a Service port may have a number for a name, and then has another number
		func(p v1alpha1.ResolvedPort) bool { return p.Service != "" && int(p.ServicePort) == number },
		func(p v1alpha1.ResolvedPort) bool { return p.Service != "" && p.ServicePortName == ask.Port },
		func(p v1alpha1.ResolvedPort) bool {
			return p.ContainerPortName == ask.Port || int(p.ContainerPort) == number
		},
	}
	if ask.Port == "" {
		steps = []func(v1alpha1.ResolvedPort) bool{
			func(p v1alpha1.ResolvedPort) bool { return p.Service != "" },
			func(p v1alpha1.ResolvedPort) bool { return true },
		}
	}
	for _, step := range steps {
		found := fits(step)
		if len(found) == 0 {
			continue
		}
		for _, p := range found[1:] {
			if p.ContainerPort != found[0].ContainerPort || p.Protocol != found[0].Protocol {
				return found[0], ambiguous(w, ask, found)
			}
		}
		return found[0], nil
	}
	return undeclared(w, known, ask, number)
}

// undeclared decides about an identifier that matches nothing: a number is
// taken for a container port if no container declares any.
func undeclared(w *Workload, known []v1alpha1.ResolvedPort, ask v1alpha1.InterceptPort, number int) (v1alpha1.ResolvedPort, error) {
	declared := slices.ContainsFunc(known, func(p v1alpha1.ResolvedPort) bool { return p.Service == "" })
	if number > 0 && number < 65536 && !declared {
		return v1alpha1.ResolvedPort{ContainerPort: int32(number), Protocol: cmp.Or(ask.Protocol, corev1.ProtocolTCP)}, nil
	}
	e := &PortError{Port: ask.Port, offers: known}
	switch other := slices.DeleteFunc(slices.Clone(known), func(p v1alpha1.ResolvedPort) bool { return !named(p, ask.Port) }); {
	case len(other) > 0:
		e.Reason, e.offers = fmt.Sprintf("port %q of %s is a %s port, not %s", ask.Port, w, other[0].Protocol, ask.Protocol), other
	case len(known) == 0:
		e.Reason = fmt.Sprintf("%s has no Service and declares no container port: name the port its application listens on with --port LOCAL:PORT", w)
	case ask.Port == "":
		e.Reason = fmt.Sprintf("%s has no %s port", w, ask.Protocol)
	default:
		e.Reason = fmt.Sprintf("%s has no port %q", w, portName(ask))
	}
	return v1alpha1.ResolvedPort{}, e
}

// Identifier is the short name of a resolved port: the name or number of the
// Service port, else of the container port.
func Identifier(p v1alpha1.ResolvedPort) string {
	_, digits := strconv.Atoi(p.ServicePortName)
	switch {
	case p.ServicePortName != "" && digits != nil:
		return p.ServicePortName
	case p.ServicePort != 0:
		return strconv.Itoa(int(p.ServicePort))
	case p.ContainerPortName != "":
		return p.ContainerPortName
	}
	return strconv.Itoa(int(p.ContainerPort))
}

// PortIn is the number a resolved port has in one pod, which may name its
// ports otherwise than the template; 0 when the pod does not have it. It is the
// application's, also where an agent has taken over the name.
func PortIn(p *corev1.Pod, r v1alpha1.ResolvedPort) int32 {
	if r.ContainerPortName == "" {
		return r.ContainerPort
	}
	return namedPort(sidecar.Application(p), r.ContainerPortName, r.Protocol)
}

func namedPort(spec *corev1.PodSpec, name string, protocol corev1.Protocol) int32 {
	for _, c := range containers(spec) {
		for _, p := range c.Ports {
			if p.Name == name && cmp.Or(p.Protocol, corev1.ProtocolTCP) == protocol {
				return p.ContainerPort
			}
		}
	}
	return 0
}

// containers are those that serve while the pod runs: native sidecars too.
func containers(spec *corev1.PodSpec) []corev1.Container {
	all := slices.Clone(spec.Containers)
	for _, c := range spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			all = append(all, c)
		}
	}
	return all
}
