// Package plan works out what the agents of a pod have to do, from the objects in
// the API alone. Every replica of the traffic-manager comes to the same plan, so
// the replicas share nothing.
package plan

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// Plan is what the agents of one pod have to do. It is a value that nobody can
// change: the ports within it are shared between goroutines and stay hidden.
type Plan struct {
	ports []*rpc.CapturePort // ordered by number and protocol; never written to
}

// Claim names a route by its owner.
type Claim struct {
	// Intercept is "namespace/name", UID its UID.
	Intercept, UID string
	Session        string
}

// Of returns a plan of these ports. It copies them.
func Of(ports ...*rpc.CapturePort) Plan { return Plan{clone(ports)} }

// Ports returns a copy of the ports to capture, ordered. The caller may change
// it.
func (p Plan) Ports() []*rpc.CapturePort { return clone(p.ports) }

// Len is the number of ports to capture.
func (p Plan) Len() int { return len(p.ports) }

// Equal says that two plans ask for the same.
func (p Plan) Equal(other Plan) bool {
	return slices.EqualFunc(p.ports, other.ports, func(a, b *rpc.CapturePort) bool { return a == b || proto.Equal(a, b) })
}

// Only returns the plan without the ports that keep is false for.
func (p Plan) Only(keep func(number int32, protocol corev1.Protocol) bool) Plan {
	var kept []*rpc.CapturePort
	for _, c := range p.ports {
		if keep(int32(c.Port), corev1.Protocol(c.Protocol.String())) {
			kept = append(kept, c)
		}
	}
	return Plan{kept}
}

// Routes says whether one of the plan's ports has a route of this owner.
func (p Plan) Routes(c Claim) bool {
	return slices.ContainsFunc(p.ports, func(port *rpc.CapturePort) bool { return routes(port, c) })
}

// RoutesPort says whether this very port has a route of this owner.
func (p Plan) RoutesPort(number uint16, protocol rpc.Protocol, c Claim) bool {
	return slices.ContainsFunc(p.ports, func(port *rpc.CapturePort) bool {
		return port.Port == uint32(number) && port.Protocol == protocol && routes(port, c)
	})
}

func routes(port *rpc.CapturePort, c Claim) bool {
	return slices.ContainsFunc(port.Routes, func(r *rpc.Route) bool {
		return Claim{Intercept: r.Intercept, UID: r.InterceptUid, Session: r.Session} == c
	})
}

// add puts a route behind those that its port has. An intercept has one route of
// a port, even if two of its ports turn out to be the same number in this pod.
func (p *Plan) add(number int32, protocol rpc.Protocol, keepEstablished bool, r *rpc.Route) {
	k := slices.IndexFunc(p.ports, func(c *rpc.CapturePort) bool {
		return c.Port == uint32(number) && c.Protocol == protocol
	})
	if k < 0 {
		p.ports = append(p.ports, &rpc.CapturePort{
			Port: uint32(number), Protocol: protocol, KeepEstablished: keepEstablished, Routes: []*rpc.Route{r}})
		return
	}
	c := p.ports[k]
	if slices.ContainsFunc(c.Routes, func(o *rpc.Route) bool { return o.InterceptUid == r.InterceptUid }) {
		return
	}
	// Connections stay where they are only if every intercept of the port says so.
	c.KeepEstablished = c.KeepEstablished && keepEstablished
	c.Routes = append(c.Routes, r)
}

// finish orders the ports and declares their probes.
func (p *Plan) finish(pod *corev1.Pod) {
	for _, c := range p.ports {
		declareProbes(c, pod)
	}
	slices.SortFunc(p.ports, func(a, b *rpc.CapturePort) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol))
	})
}

func clone(ports []*rpc.CapturePort) []*rpc.CapturePort {
	if len(ports) == 0 {
		return nil
	}
	out := make([]*rpc.CapturePort, len(ports))
	for i, c := range ports {
		out[i] = proto.CloneOf(c)
	}
	return out
}
