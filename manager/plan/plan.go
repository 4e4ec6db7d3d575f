// Package plan computes what the agents of a pod must do. A plan depends only on the
// objects in the API. So every replica of the traffic-manager computes the same plan,
// and the replicas need no shared state.
package plan

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// Plan is what the agents of one pod must do. A Plan is immutable, so goroutines can
// share it.
type Plan struct {
	ports    []*rpc.CapturePort // ordered by number and protocol; read-only once the plan is computed
	standIns []standIn
	pauses   []pause
}

// pause is an Intercept that stops a container of the pod.
type pause struct{ container, uid string }

// standIn is an Intercept whose laptop stands in for the pod.
type standIn struct {
	container string
	message   *rpc.StandIn // read-only
}

// Claim identifies the owner of a route: an Intercept and its session.
type Claim struct {
	// Intercept is the Intercept's "namespace/name", and UID is its UID.
	Intercept, UID string
	Session        string
}

// Of returns a plan with copies of these ports.
func Of(ports ...*rpc.CapturePort) Plan { return Plan{ports: clone(ports)} }

// Ports returns a copy of the ports to capture, ordered by number and protocol. The
// caller may change the copy.
func (p Plan) Ports() []*rpc.CapturePort { return clone(p.ports) }

// Len returns the number of ports to capture.
func (p Plan) Len() int { return len(p.ports) }

// Empty reports whether there is nothing to do.
func (p Plan) Empty() bool { return len(p.ports) == 0 && len(p.standIns) == 0 && len(p.pauses) == 0 }

// Equal reports whether two plans have the same ports, routes, stand-ins and pauses.
func (p Plan) Equal(other Plan) bool {
	return slices.Equal(p.pauses, other.pauses) && slices.EqualFunc(p.ports, other.ports, func(a, b *rpc.CapturePort) bool { return a == b || proto.Equal(a, b) }) &&
		slices.EqualFunc(p.standIns, other.standIns, func(a, b standIn) bool {
			return a.container == b.container && proto.Equal(a.message, b.message)
		})
}

// StandIns returns copies of the stand-ins.
func (p Plan) StandIns() (out []*rpc.StandIn) {
	for _, s := range p.standIns {
		out = append(out, proto.CloneOf(s.message))
	}
	return out
}

// Pauses are the Intercepts that stop a container.
func (p Plan) Pauses() (out []*rpc.Pause) {
	for _, s := range p.pauses {
		out = append(out, &rpc.Pause{InterceptUid: s.uid})
	}
	return out
}

// InContainer returns a plan with the stand-ins for a container of the pod and what stops it,
// and without ports.
func (p Plan) InContainer(name string) Plan {
	return Plan{standIns: slices.DeleteFunc(slices.Clone(p.standIns), func(s standIn) bool { return s.container != name }),
		pauses: slices.DeleteFunc(slices.Clone(p.pauses), func(s pause) bool { return s.container != name })}
}

// HasStandIn reports whether the owner's laptop stands in for the pod.
func (p Plan) HasStandIn(c Claim) bool {
	return slices.ContainsFunc(p.standIns, func(s standIn) bool {
		return Claim{Intercept: s.message.Intercept, UID: s.message.InterceptUid, Session: s.message.Session} == c
	})
}

// Only returns a plan with only the ports for which keep returns true, and without
// stand-ins and pauses.
func (p Plan) Only(keep func(number int32, protocol corev1.Protocol) bool) Plan {
	var kept []*rpc.CapturePort
	for _, c := range p.ports {
		if keep(int32(c.Port), corev1.Protocol(c.Protocol.String())) {
			kept = append(kept, c)
		}
	}
	return Plan{ports: kept}
}

// Routes reports whether a port of the plan has a route of this owner.
func (p Plan) Routes(c Claim) bool {
	return slices.ContainsFunc(p.ports, func(port *rpc.CapturePort) bool { return routes(port, c) })
}

// RoutesPort reports whether the port with this number and protocol has a route of this
// owner.
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

// add appends a route to the routes of its port, which has this number in the pod. An
// Intercept gets one route for each port, even if two of its ports have the same number in
// this pod.
func (p *Plan) add(number int32, protocol rpc.Protocol, speaks rpc.Speaks, keepEstablished bool, r *rpc.Route) {
	k := slices.IndexFunc(p.ports, func(c *rpc.CapturePort) bool {
		return c.Port == uint32(number) && c.Protocol == protocol
	})
	if k < 0 {
		p.ports = append(p.ports, &rpc.CapturePort{
			Port: uint32(number), Protocol: protocol, Speaks: speaks, KeepEstablished: keepEstablished, Routes: []*rpc.Route{r}})
		return
	}
	c := p.ports[k]
	if slices.ContainsFunc(c.Routes, func(o *rpc.Route) bool { return o.InterceptUid == r.InterceptUid }) {
		return
	}
	c.Speaks = cmp.Or(c.Speaks, speaks) // a Service declares it, and a container's port does not
	// Established connections are kept only if every Intercept of the port wants that.
	c.KeepEstablished = c.KeepEstablished && keepEstablished
	c.Routes = append(c.Routes, r)
}

// finish sorts the ports and adds their probes.
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
