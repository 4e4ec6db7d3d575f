package agents

import (
	"math"
	"slices"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

const (
	// maxRoutes bounds the routes of one Intercept that an agent may report, which has at
	// most 32 ports, and maxMissed the reasons of one route.
	maxRoutes, maxMissed = 64, 16
	// maxHeader is the longest name of a header that is told, in bytes.
	maxHeader = 256
)

// says takes over a report, as far as the API server takes it: it refuses a status that is
// too large or has a value that the schema does not know, with all that other agents say.
func (a *agent) says(r *rpc.AgentReport) {
	a.routes, a.pauses = nil, r.Pauses
	of := map[string]int{}
	for _, route := range r.Routes {
		if of[route.InterceptUid]++; of[route.InterceptUid] > maxRoutes || !possible(route) {
			continue
		}
		route.Missed = route.Missed[:min(len(route.Missed), maxMissed)]
		if c := route.Comparison; c != nil {
			c.Met = c.Met[:min(len(c.Met), len(c.Match.GetConditions()))]
			c.Headers = slices.DeleteFunc(c.Headers, func(name string) bool { return len(name) > maxHeader })
		}
		a.routes = append(a.routes, route)
	}
}

// lastTime is the last millisecond that the API can write down: in the year 9999.
const lastTime = 253_402_300_799_999

// possible says whether there can be such a port, so many connections and such times.
func possible(r *rpc.RouteReport) bool {
	if r.Port == 0 || r.Port > math.MaxUint16 || r.Protocol != rpc.Protocol_TCP && r.Protocol != rpc.Protocol_UDP {
		return false
	}
	for _, n := range []uint64{r.Connections, r.Requests, r.Opaque, r.Fallbacks, r.BytesIn, r.BytesOut} {
		if n > math.MaxInt64 {
			return false
		}
	}
	for _, t := range []int64{r.LastConnection, r.Comparison.GetPassedSince()} {
		if t < 0 || t > lastTime {
			return false
		}
	}
	return true
}
