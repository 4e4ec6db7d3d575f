package forward

import (
	"fmt"
	"net/http"
	"time"

	agenthttp "github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
)

// ended is a route that took single requests and is gone. For a while they are told so,
// since whoever sends them expects the laptop's answers and not the application's.
type ended struct {
	uid, intercept string
	requests       match.Conditions
	until          time.Time
	answer         *agenthttp.Answer
}

// end makes an ended of a route that has left. It is nil if nobody is told.
func (r *Route) end(now time.Time) *ended {
	if r.requests == nil || r.notice == 0 {
		return nil
	}
	return &ended{uid: r.UID, intercept: r.Intercept, requests: *r.requests, until: now.Add(r.notice),
		answer: &agenthttp.Answer{
			Status: http.StatusServiceUnavailable, GRPC: unavailable,
			Body: fmt.Sprintf("The intercept %s of %s ended at %s. It took this request; send it without what the intercept matched on.\n",
				r.Intercept, r.user, now.UTC().Format("2006-01-02 15:04:05 UTC")),
			Fields: []agenthttp.Field{{Name: markName, Value: r.Intercept}},
		}}
}

// successors are those of the ended routes that are told of still, once a table has these
// routes.
func successors(before []*ended, routes []*Route, now time.Time) []*ended {
	var list []*ended
	for _, e := range before {
		back := false
		for _, r := range routes {
			back = back || r.UID == e.uid
		}
		if !back && now.Before(e.until) {
			list = append(list, e)
		}
	}
	return list
}
