package forward

import (
	"context"

	"github.com/kubectl-intercept/kubectl-intercept/agent/relay"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// Route is what one intercept wants of the connections of a port. It is never
// changed, only replaced; what replaces a route of the same owner counts on.
type Route struct {
	relay.Owner
	noFallback bool // close what the laptop does not take
	counters   *counters
	unknown    string // why the agent does not follow the route; empty if it does
	ctx        context.Context
	leave      context.CancelFunc
}

// newRoute returns the route that the traffic-manager sent. It goes on where one of
// the table before has been.
func (p *Port) newRoute(sent *rpc.Route, before *table) *Route {
	r := &Route{Owner: relay.OwnerOf(sent), noFallback: sent.NoFallback}
	if sent.Mode != rpc.Route_TAKE || sent.Match != nil {
		r.unknown = "this agent does not know what the intercept asks for: it is older than the traffic-manager"
	}
	if old := before.of(&r.Owner); old != nil {
		r.counters, r.ctx, r.leave = old.counters, old.ctx, old.leave
		return r
	}
	r.ctx, r.leave = context.WithCancel(p.ctx)
	r.counters = &counters{}
	for _, old := range before.routes {
		if old.UID == r.UID { // of another session
			r.counters = old.counters
		}
	}
	return r
}

// Left says that the route's owner has no route of the port any more.
func (r *Route) Left() bool { return r.ctx.Err() != nil }

// Arrived counts a flow that the route takes.
func (r *Route) Arrived() { r.counters.arrived() }

// Moved counts bytes between the caller and the laptop. It fits tunnel.Pipe with
// the caller first.
func (r *Route) Moved(in, out int) { r.counters.moved(in, out) }
