package forward

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/agent/relay"
	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// Route is what one intercept wants of the connections of a port. It is never
// changed, only replaced.
type Route struct {
	relay.Owner
	noFallback bool              // close what the laptop does not take
	conditions *match.Conditions // the HTTP requests that the route is for; nil: it is for every connection
	copies     bool              // it takes nothing, and gets copies
	idle       bool              // it takes nothing, and gets nothing
	user       string            // whom the intercept belongs to
	mark       http.Field        // for the laptop's answers
	notice     time.Duration     // for how long requests are told that the route is gone
	unknown    string            // why the agent does not follow the route; empty if it does
	question   string            // what the owner asks: see tell
	tally      *tally            // of a route for single requests that the agent follows; else nil
	*tenure
}

// tenure is the time in which an owner has a route of the port without a break. The
// routes that replace each other within it share one.
type tenure struct {
	counters *counters
	ctx      context.Context // ends when the owner has left
	leave    context.CancelFunc
	waiting  atomic.Int64 // bytes of copies
}

// newRoute returns the route that the traffic-manager sent. It goes on where one of
// the table before has been.
func (p *Port) newRoute(sent *rpc.Route, before *table) *Route {
	r := &Route{Owner: relay.OwnerOf(sent), noFallback: sent.NoFallback, user: sent.User, question: sent.Question,
		notice: time.Duration(sent.NoticeSeconds) * time.Second}
	if sent.Mark != "" {
		r.mark = http.Field{Name: markName, Value: sent.Mark}
	}
	switch sent.Mode {
	case rpc.Route_TAKE:
	case rpc.Route_COPY:
		r.copies = true
	case rpc.Route_NOTHING:
		r.idle = true
	default:
		r.unknown = olderAgent
	}
	if sent.Match != nil {
		conditions, err := sent.Match.Read()
		if err == nil {
			err = conditions.Validate()
		}
		if err != nil {
			r.unknown = err.Error()
		}
		r.conditions = &conditions
		if r.unknown == "" {
			r.tally = p.newTally(r, sent.Match, before)
		}
	}
	if old := before.of(&r.Owner); old != nil {
		r.tenure = old.tenure
		return r
	}
	r.tenure = &tenure{counters: &counters{}}
	r.ctx, r.leave = context.WithCancel(p.ctx)
	for _, old := range before.routes {
		if old.UID == r.UID { // of another session
			r.counters = old.counters
		}
	}
	return r
}

// markName is the header that names the intercept which has answered a request.
const markName = "x-intercept"

const olderAgent = "this agent does not know what the intercept asks for: it is older than the traffic-manager"

// fallsBack says that the application has what the laptop does not take.
func (r *Route) fallsBack() bool { return !r.noFallback || len(r.Relays) == 0 }

// Left says that the route's owner has no route of the port any more.
func (t *tenure) Left() bool { return t.ctx.Err() != nil }

// Arrived counts a flow that the route takes.
func (t *tenure) Arrived() { t.counters.arrived() }

// Moved counts bytes between the caller and the laptop. It fits tunnel.Pipe with
// the caller first.
func (t *tenure) Moved(in, out int) { t.counters.moved(in, out) }
