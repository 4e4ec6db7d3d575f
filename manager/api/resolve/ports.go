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
// empty Protocol in an ask means whichever the port has; a number that no Service
// and no container declares is taken for a container port. Annotations of the
// template may limit what can be asked for.
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

// Named returns the ports that an ask can name, for an offer: those of one Service, or of
// all when it is "", and those that containers declare. It returns none where Ports would
// fail.
func Named(w *Workload, services []corev1.Service, service string) []v1alpha1.ResolvedPort {
	wishes, err := ReadWishes(w.Annotations)
	if err != nil {
		return nil
	}
	if services, err = chosen(w, wishes, services, service); err != nil {
		return nil
	}
	known, err := candidates(w, wishes, services)
	if err != nil {
		return nil
	}
	return known
}

func resolvePorts(w *Workload, services []corev1.Service, service string, asks []v1alpha1.InterceptPort) ([]v1alpha1.ResolvedPort, error) {
	wishes, err := ReadWishes(w.Annotations)
	if err != nil {
		return nil, &PortError{Reason: fmt.Sprintf("%s: %v", w, err)}
	}
	if services, err = chosen(w, wishes, services, service); err != nil {
		return nil, err
	}
	known, err := candidates(w, wishes, services)
	if err != nil {
		return nil, &PortError{Reason: fmt.Sprintf("%s: %v", w, err)}
	}
	var out []v1alpha1.ResolvedPort
	for _, ask := range asks {
		p, err := pick(w, known, ask)
		if err == nil && p.ContainerPort == 0 {
			p, err = undeclared(w, wishes, services, known, ask)
		}
		if err != nil {
			return nil, err
		}
		p.LocalHost, p.LocalPort = ask.LocalHost, ask.LocalPort
		if slices.ContainsFunc(out, func(o v1alpha1.ResolvedPort) bool { return same(o, p) }) {
			return nil, &PortError{Port: ask.Port, Reason: fmt.Sprintf("two --port flags lead to port %d of %s", p.ContainerPort, w)}
		}
		out = append(out, p)
	}
	return out, nil
}

// pick finds the port that is asked for; none is no error.
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
			if !same(p, found[0]) {
				return found[0], ambiguous(w, ask, found)
			}
		}
		return found[0], nil
	}
	return v1alpha1.ResolvedPort{}, nil
}

// undeclared decides about an identifier that matches nothing: a number is taken
// for a container port, for what containers declare is only for information.
func undeclared(w *Workload, wishes Wishes, services []corev1.Service, known []v1alpha1.ResolvedPort, ask v1alpha1.InterceptPort) (v1alpha1.ResolvedPort, error) {
	number, err := strconv.ParseUint(ask.Port, 10, 16)
	e := &PortError{Port: ask.Port, offers: known}
	other := slices.DeleteFunc(slices.Clone(known), func(p v1alpha1.ResolvedPort) bool {
		return !named(p, ask.Port) || err == nil && p.Service == ""
	})
	nowhere := leadsNowhere(w, services, ask)
	switch {
	case len(other) > 0:
		e.Reason, e.offers = fmt.Sprintf("port %q of %s is a %s port, not %s", ask.Port, w, other[0].Protocol, ask.Protocol), other
	case nowhere != "":
		e.Reason = nowhere
	case wishes.Limited():
		e.Reason = fmt.Sprintf("the annotations of %s do not admit port %q", w, portName(ask))
	case err == nil && number > 0:
		return v1alpha1.ResolvedPort{ContainerPort: int32(number), Protocol: cmp.Or(ask.Protocol, corev1.ProtocolTCP)}, nil
	case len(known) == 0:
		e.Reason = fmt.Sprintf("%s has no Service and declares no container port: name the port its application listens on with --port LOCAL:PORT", w)
	case ask.Port == "":
		e.Reason = fmt.Sprintf("%s has no %s port", w, ask.Protocol)
	default:
		e.Reason = fmt.Sprintf("%s has no port %q", w, portName(ask))
	}
	return v1alpha1.ResolvedPort{}, e
}

// leadsNowhere says in a sentence that a Service has the port that is asked for, and
// no container has the name that it leads to; empty when that is not so.
func leadsNowhere(w *Workload, services []corev1.Service, ask v1alpha1.InterceptPort) string {
	for _, s := range services {
		for _, sp := range s.Spec.Ports {
			p := servicePort(&w.Spec, &s, sp)
			if p.ContainerPort == 0 && (ask.Port == "" || named(p, ask.Port)) && (ask.Protocol == "" || ask.Protocol == p.Protocol) {
				return fmt.Sprintf("port %s of service/%s leads to a port named %q, which no container of %s has", Identifier(p), s.Name, p.ContainerPortName, w)
			}
		}
	}
	return ""
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
	return NamedPort(Containers(sidecar.Application(p)), r.ContainerPortName, cmp.Or(r.Protocol, corev1.ProtocolTCP))
}
