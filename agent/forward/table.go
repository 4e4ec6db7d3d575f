package forward

import (
	"slices"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/probe"
	"github.com/kubectl-intercept/kubectl-intercept/agent/relay"
	"github.com/kubectl-intercept/kubectl-intercept/agent/understudy"
	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// table is the routes of a port. It is never changed, only replaced.
type table struct {
	routes          []*Route   // in the order in which they are asked
	probes          *probe.Set // the kubelet's calls, which stay with the application
	keepEstablished bool
	callerFirst     bool // in what the port speaks, the server is never the first to speak

	understudy *understudy.Understudy // answers in place of an application that is stopped; nil: it runs

	personal []*Route        // those of the routes that take single HTTP requests
	ended    []*ended        // routes of that kind which are gone, asked after the others
	matches  *match.Table    // the conditions of both; nil if there are none
	counts   []*match.Counts // of requests
	named    map[string]bool // the headers on which routes have conditions, in lower case

	// Mirrors take nothing. Those whose laptop is away are not here.
	wholes       []*Route     // that get a copy of each connection
	copies       []*Route     // that get copies of single HTTP requests
	copied       *match.Table // the conditions of copies; nil if there are none
	copiedCounts []*match.Counts
}

// newTable makes a table of what the traffic-manager sent, which follows another one.
func (p *Port) newTable(c *rpc.CapturePort, before *table) *table {
	t := &table{probes: probe.Of(c), keepEstablished: c.KeepEstablished,
		callerFirst: c.Speaks == rpc.Speaks_SPEAKS_HTTP || c.Speaks == rpc.Speaks_SPEAKS_HTTPS}
	if c.Stopped != "" {
		t.understudy = understudy.New(c.Stopped, c.Probes, understudy.Dial(p.dial))
	}
	for _, sent := range c.Routes {
		r := p.newRoute(sent, before)
		if c.Speaks == rpc.Speaks_SPEAKS_OTHER && r.conditions != nil {
			r.unknown = "the port has no HTTP requests, by the appProtocol of its Service"
		}
		if c.Protocol == rpc.Protocol_UDP && r.copies {
			r.unknown = "a mirror copies what comes by TCP, and this is a UDP port"
		}
		t.routes = append(t.routes, r)
	}
	p.mirrors(t)
	t.ended = endedAfter(before, t.routes, time.Now())
	var conditions, live []match.Conditions
	for _, r := range t.routes {
		if r.tally != nil {
			live = append(live, *r.conditions)
		}
		if r.conditions != nil && !r.copies && r.unknown == "" {
			t.personal = append(t.personal, r)
			conditions = append(conditions, *r.conditions)
			t.counts = append(t.counts, r.tally.counts)
		}
	}
	for _, e := range t.ended {
		conditions = append(conditions, e.conditions)
	}
	t.matches = p.matches(conditions)
	t.named = named(live)
	return t
}

// mirrors finds the mirrors among the routes of a table.
func (p *Port) mirrors(t *table) {
	var conditions []match.Conditions
	for _, r := range t.routes {
		switch {
		case !r.copies || r.unknown != "" || len(r.Relays) == 0:
		case r.conditions == nil:
			t.wholes = append(t.wholes, r)
		default:
			t.copies = append(t.copies, r)
			t.copiedCounts = append(t.copiedCounts, r.tally.counts)
			conditions = append(conditions, *r.conditions)
		}
	}
	t.copied = p.matches(conditions)
}

// matches finds requests that meet conditions; nil if there are none.
func (p *Port) matches(all []match.Conditions) *match.Table {
	if len(all) == 0 {
		return nil
	}
	m, err := match.New(all)
	if err != nil {
		p.log.Error("no request is told apart", "error", err) // all of them have been validated
	}
	return m
}

// everything is the first route that takes every connection; nil if there is none.
func (t *table) everything() *Route {
	for _, r := range t.routes {
		if r.unknown == "" && r.conditions == nil && !r.copies && !r.idle {
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

// find returns the route that takes a request, or the ended one that would have; both are nil
// if the application has it.
func (t *table) find(r *match.Request) (*Route, *ended) {
	if t.matches == nil {
		return t.everything(), nil
	}
	var few [8]int
	for _, k := range t.matches.Find(r, few[:0]) {
		if k < len(t.personal) {
			return t.personal[k], nil
		}
		if e := t.ended[k-len(t.personal)]; time.Now().Before(e.until) {
			return nil, e
		}
	}
	return t.everything(), nil
}

// noticed is until when requests are told of routes that are gone; zero if there are none.
func (t *table) noticed() time.Time {
	var last time.Time
	for _, e := range t.ended {
		if e.until.After(last) {
			last = e.until
		}
	}
	return last
}
