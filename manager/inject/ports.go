package inject

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// firstPort is where free ports for the agent are looked for.
const firstPort = 9900

// target is a port of the application that callers reach.
type target struct {
	name     string // of the container port, if it has one
	number   int32
	protocol corev1.Protocol
	byNumber bool // somebody calls the number itself
}

// targets are the ports to stand in front of, ordered, each one once.
func targets(pod *corev1.Pod, w resolve.Wishes, q Request) ([]target, error) {
	var found []target
	add := func(t target) {
		for i := range found {
			if found[i].number == t.number && found[i].protocol == t.protocol {
				found[i].byNumber = found[i].byNumber || t.byNumber
				found[i].name = cmp.Or(found[i].name, t.name)
				return
			}
		}
		found = append(found, t)
	}
	for _, s := range q.Services {
		if !resolve.Selects(&s, pod.Labels) {
			continue
		}
		for _, sp := range s.Spec.Ports {
			t, ok := serviceTarget(pod, &s, sp)
			if ok && (w.Inject == resolve.WishEnabled && w.Chooses(&s, sp) || intercepted(q, t)) {
				add(t)
			}
		}
	}
	for _, text := range w.ContainerPorts {
		p, err := resolve.ContainerPort(&pod.Spec, text)
		if err != nil {
			return nil, err
		}
		add(target{name: p.ContainerPortName, number: p.ContainerPort, protocol: p.Protocol, byNumber: true})
	}
	for _, p := range q.Intercepted {
		// Without a Service callers know the pod's port by its number.
		t := target{name: p.ContainerPortName, number: resolve.PortIn(pod, p), protocol: cmp.Or(p.Protocol, corev1.ProtocolTCP), byNumber: p.Service == ""}
		if t.number != 0 && (t.byNumber || !slices.ContainsFunc(found, func(f target) bool { return f.number == t.number && f.protocol == t.protocol })) {
			t.byNumber = true
			add(t)
		}
	}
	if len(found) == 0 && w.Inject == resolve.WishEnabled && !w.Limited() {
		found = ownPorts(pod)
	}
	for i := range found {
		if declared(pod, found[i]) == "" {
			found[i].byNumber = true
		}
	}
	slices.SortFunc(found, func(a, b target) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.protocol, b.protocol))
	})
	return found, nil
}

// ownPorts returns the ports that the containers declare by name. A pod may be made
// before its Service.
func ownPorts(pod *corev1.Pod) []target {
	var found []target
	for _, c := range resolve.Containers(&pod.Spec) {
		for _, p := range c.Ports {
			t := target{name: p.Name, number: p.ContainerPort, protocol: cmp.Or(p.Protocol, corev1.ProtocolTCP)}
			if p.Name != "" && p.Protocol != corev1.ProtocolSCTP && !slices.ContainsFunc(found, func(f target) bool { return f.number == t.number && f.protocol == t.protocol }) {
				found = append(found, t)
			}
		}
	}
	return found
}

// serviceTarget is where a Service's port leads to in the pod. Callers of a
// headless Service know the pod's address and call the number.
func serviceTarget(pod *corev1.Pod, s *corev1.Service, sp corev1.ServicePort) (target, bool) {
	t := target{protocol: cmp.Or(sp.Protocol, corev1.ProtocolTCP), byNumber: s.Spec.ClusterIP == corev1.ClusterIPNone}
	switch {
	case sp.TargetPort.Type == intstr.String:
		t.name = sp.TargetPort.StrVal
		t.number = resolve.NamedPort(resolve.Containers(&pod.Spec), t.name, t.protocol)
	case sp.TargetPort.IntVal != 0:
		t.number, t.byNumber = sp.TargetPort.IntVal, true
	default:
		t.number, t.byNumber = sp.Port, true
	}
	return t, t.number != 0 && (t.protocol == corev1.ProtocolTCP || t.protocol == corev1.ProtocolUDP)
}

func intercepted(q Request, t target) bool {
	return slices.ContainsFunc(q.Intercepted, func(p v1alpha1.ResolvedPort) bool {
		return cmp.Or(p.Protocol, corev1.ProtocolTCP) == t.protocol &&
			(p.ContainerPortName != "" && p.ContainerPortName == t.name || p.ContainerPort == t.number)
	})
}

// declared returns the name that a container gives to a target, and "" for none.
func declared(pod *corev1.Pod, t target) string {
	for _, c := range resolve.Containers(&pod.Spec) {
		for _, p := range c.Ports {
			if p.ContainerPort == t.number && cmp.Or(p.Protocol, corev1.ProtocolTCP) == t.protocol && (t.name == "" || p.Name == t.name) {
				return p.Name
			}
		}
	}
	return ""
}

// assign gives each target a port of the agent. No container of the pod, whatever its
// kind, declares that port or is called there by the kubelet. byMesh says of which targets
// a mesh can redirect the number.
func assign(pod *corev1.Pod, all []target, byMesh func(target) bool) []rpc.SidecarPort {
	used := map[int32]bool{}
	for _, c := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
		for _, p := range c.Ports {
			used[p.ContainerPort] = true
		}
		sidecar.HandlerPorts(&c, func(p *intstr.IntOrString) { used[p.IntVal] = true })
		sidecar.Handlers(&c, func(h corev1.ProbeHandler, _ bool) {
			if h.GRPC != nil {
				used[h.GRPC.Port] = true
			}
		})
	}
	for _, t := range all {
		used[t.number] = true
	}
	var out []rpc.SidecarPort
	next := int32(firstPort)
	for _, t := range all {
		for used[next] {
			next++
		}
		used[next] = true
		meshed := t.byNumber && byMesh(t)
		out = append(out, rpc.SidecarPort{Name: cmp.Or(t.name, declared(pod, t)), Number: uint16(t.number),
			Protocol: string(t.protocol), Agent: uint16(next), Redirect: t.byNumber && !meshed, Mesh: meshed})
	}
	return out
}
