package forward

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	agenthttp "github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
)

// ended is a route that took single requests and is gone. For a while they are told so,
// since whoever sends them expects the laptop's answers and not the application's.
type ended struct {
	uid, intercept string
	conditions     match.Conditions
	until          time.Time
	answer         *agenthttp.Answer
}

// end makes an ended of a route that has left. It is nil if nobody is told, since the
// agent has never followed the route, or nobody shall be.
func (r *Route) end(now time.Time) *ended {
	if r.conditions == nil || r.copies || r.unknown != "" || r.notice == 0 {
		return nil
	}
	return &ended{uid: r.UID, intercept: r.Intercept, conditions: *r.conditions, until: now.Add(r.notice),
		answer: &agenthttp.Answer{
			Status: http.StatusServiceUnavailable, GRPC: agenthttp.Unavailable,
			Body: fmt.Sprintf("The intercept %s of %s ended at %s. It took this request; send it without what the intercept matched on.\n",
				r.Intercept, r.user, now.UTC().Format("2006-01-02 15:04:05 UTC")),
			Fields: []agenthttp.Field{{Name: markName, Value: r.Intercept}},
		}}
}

// endedAfter are the ended routes of a table with these routes, which follows another
// table. An intercept that has a route, maybe of another session, has not ended.
func endedAfter(before *table, routes []*Route, now time.Time) []*ended {
	all := slices.Clone(before.ended)
	for _, r := range before.routes {
		if e := r.end(now); e != nil {
			all = append(all, e)
		}
	}
	return slices.DeleteFunc(all, func(e *ended) bool {
		return !now.Before(e.until) || slices.ContainsFunc(routes, func(r *Route) bool { return r.UID == e.uid })
	})
}
