package plan

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// idle is the route of a port that agents have for the kubelet's probes alone.
func (p *Planner) idle(c candidate) *rpc.Route {
	return &rpc.Route{Intercept: c.Namespace + "/" + c.Name, InterceptUid: string(c.UID), User: c.Spec.User, Session: c.Spec.Session, Mode: rpc.Route_NOTHING}
}

// replace stops a container of the pod if the Intercept asks for that. The container runs while
// the laptop is away. It also runs until an agent has shown that callers of all of the
// Intercept's ports come to it, and again when that agent is gone: nobody else would answer
// the kubelet's probes.
func (p *Plan) replace(c candidate, pod *corev1.Pod) {
	if c.Status.Mode != v1alpha1.ModeReplace || c.Spec.StandIn == nil || len(c.relays) == 0 {
		return
	}
	container, missing := resolve.StandInContainer(c.Spec.StandIn.Container, c.Status.Ports, pod)
	if missing != "" {
		return
	}
	why := fmt.Sprintf("The application does not run: %s replaces container %s of pod %s (intercept %s)", c.Spec.User, container, pod.Name, c.Name)
	ports := slices.Concat(c.Status.Ports, c.Status.ProbePorts)
	for _, captured := range p.ports {
		if captured.Stopped == "" && (has(ports, captured, pod) || declares(container, captured, pod)) {
			captured.Stopped = why
		}
	}
	if Proven(ports, pod, c.Status.Pods) {
		p.pauses = append(p.pauses, pause{container, string(c.UID)})
	}
}

func has(ports []v1alpha1.ResolvedPort, captured *rpc.CapturePort, pod *corev1.Pod) bool {
	return slices.ContainsFunc(ports, func(r v1alpha1.ResolvedPort) bool {
		return protocol(r.Protocol) == captured.Protocol && resolve.PortIn(pod, r) == int32(captured.Port)
	})
}

// declares says that a container of the pod declares a port.
func declares(container string, captured *rpc.CapturePort, pod *corev1.Pod) bool {
	return slices.ContainsFunc(resolve.Containers(&pod.Spec), func(c corev1.Container) bool {
		return c.Name == container && slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool {
			return p.ContainerPort == int32(captured.Port) && protocol(cmp.Or(p.Protocol, corev1.ProtocolTCP)) == captured.Protocol
		})
	})
}

// Proven says that the pod's agent has shown for every one of the ports that the pod has that
// callers come to it. What agents say of other ports, from before the Intercept was changed,
// proves nothing.
func Proven(ports []v1alpha1.ResolvedPort, pod *corev1.Pod, reports []v1alpha1.PodStatus) bool {
	var told []v1alpha1.PodPort
	for _, s := range reports {
		if s.Name == pod.Name && (s.UID == "" || s.UID == pod.UID) {
			told = s.Ports
		}
	}
	return !slices.ContainsFunc(ports, func(r v1alpha1.ResolvedPort) bool {
		n := resolve.PortIn(pod, r)
		return n != 0 && !slices.ContainsFunc(told, func(p v1alpha1.PodPort) bool {
			return p.Port == n && p.Protocol == r.Protocol && p.State == v1alpha1.PodActive
		})
	})
}
