package forward

import (
	"slices"

	"github.com/kubectl-intercept/kubectl-intercept/agent/probe"
	"github.com/kubectl-intercept/kubectl-intercept/agent/relay"
	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// table is the routes of a port. It is never changed, only replaced.
type table struct {
	routes          []*Route   // in the order in which they are asked
	probes          *probe.Set // the kubelet's calls, which stay with the application
	keepEstablished bool

	requests []*Route     // those of the routes that take single HTTP requests
	matches  *match.Table // their conditions; nil if there is no such route
}

// newTable makes a table of what the traffic-manager sent, which follows another one.
func (p *Port) newTable(c *rpc.CapturePort, before *table) *table {
	t := &table{probes: probe.Of(c), keepEstablished: c.KeepEstablished}
	var conditions []match.Conditions
	for _, sent := range c.Routes {
		r := p.newRoute(sent, before)
		t.routes = append(t.routes, r)
		if r.requests != nil && r.unknown == "" {
			t.requests = append(t.requests, r)
			conditions = append(conditions, *r.requests)
		}
	}
	if len(conditions) == 0 {
		return t
	}
	var err error
	if t.matches, err = match.New(conditions); err != nil {
		p.log.Error("no request is told apart", "error", err) // Read has checked them: this cannot be
	}
	return t
}

// everything is the first route that takes every connection; nil if there is none.
func (t *table) everything() *Route {
	for _, r := range t.routes {
		if r.unknown == "" && r.requests == nil {
			return r
		}
	}
	return nil
}

// of is the route of an owner; nil if it has none.
func (t *table) of(o *relay.Owner) *Route {
	if k := slices.IndexFunc(t.routes, func(r *Route) bool { return r.Same(o) }); k >= 0 {
		return t.routes[k]
	}
	return nil
}

// during is the route of a tenure; nil if it is over.
func (t *table) during(tenure *tenure) *Route {
	if k := slices.IndexFunc(t.routes, func(r *Route) bool { return r.tenure == tenure }); k >= 0 {
		return t.routes[k]
	}
	return nil
}

// take is the route that takes a request; nil if the application has it.
func (t *table) take(r *match.Request) *Route {
	if t.matches != nil {
		var few [8]int
		if found := t.matches.Find(r, few[:0]); len(found) > 0 {
			return t.requests[found[0]]
		}
	}
	return t.everything()
}
