package intercept

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/topod"
)

// noPorts is the value of --to-pod that leaves the ports of other containers out.
const noPorts = "none"

// addNeighbors adds to ToPod the ports that the pod's other containers declare, if the command
// has the pod's network and a localhost of its own. The command listens at its own ports
// itself.
func (m *maker) addNeighbors() {
	if !m.network || m.access || m.noNeighbors {
		return
	}
	own, missing := resolve.StandInContainer(m.StandIn.Container, m.resolved, m.workload.Template())
	if missing != "" {
		return // the traffic-manager says so
	}
	listens := slices.Clone(m.Listens)
	for _, p := range m.Ports {
		listens = append(listens, p.LocalPort)
	}
	m.ToPod = withNeighbors(m.ToPod, &m.workload.Spec, own, listens)
}

// withNeighbors returns ports, and the declared ones of the containers but own that are none of
// listens.
func withNeighbors(ports []topod.Port, spec *corev1.PodSpec, own string, listens []int32) []topod.Port {
	ports = slices.Clone(ports)
	for _, c := range resolve.Containers(spec) {
		if c.Name == own {
			continue
		}
		for _, declared := range c.Ports {
			p := topod.Port{Number: uint16(declared.ContainerPort)}
			switch declared.Protocol {
			case corev1.ProtocolSCTP:
				continue
			case corev1.ProtocolUDP:
				p.Protocol = frame.UDP
			}
			if !slices.Contains(listens, declared.ContainerPort) && !slices.Contains(ports, p) {
				ports = append(ports, p)
			}
		}
	}
	return ports
}
