package forward

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/agent/relay"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// reasons are why a connection does not reach the laptop's program. The array says
// how many there are.
var reasons = [...]rpc.Reason{rpc.Reason_UNKNOWN, rpc.Reason_PROGRAM_REFUSED, rpc.Reason_PROGRAM_SILENT, rpc.Reason_SESSION_AWAY,
	rpc.Reason_SESSION_SILENT, rpc.Reason_MANAGER_UNREACHABLE, rpc.Reason_NOT_ALLOWED,
	rpc.Reason_TOO_SLOW, rpc.Reason_CUT}

// counters are what one route has seen.
type counters struct {
	// connections counts all that the route took, fallbacks those among them that
	// the laptop did not get: the application has them or, where there is no
	// fallback, they were closed. Of a mirror, connections counts the
	// copies, and fallbacks those that were dropped.
	connections, fallbacks atomic.Uint64
	// requests counts the HTTP requests that the route took one by one. Opaque counts
	// connections in which requests could not be told apart safely.
	requests, opaque atomic.Uint64
	// bytesIn came from callers, bytesOut went to them; the laptop's alone.
	bytesIn, bytesOut atomic.Uint64
	// last is when the last connection came, in Unix milliseconds.
	last atomic.Int64

	byReason [len(reasons)]atomic.Uint64 // of fallbacks
}

// report puts the counts into r.
func (c *counters) report(r *rpc.RouteReport) {
	r.Connections, r.Fallbacks, r.LastConnection = c.connections.Load(), c.fallbacks.Load(), c.last.Load()
	r.BytesIn, r.BytesOut, r.Requests = c.bytesIn.Load(), c.bytesOut.Load(), c.requests.Load()
	r.Opaque = c.opaque.Load()
	for _, reason := range reasons {
		if n := c.byReason[reason].Load(); n > 0 {
			r.Missed = append(r.Missed, &rpc.Missed{Reason: reason, Connections: n})
		}
	}
}

func (c *counters) arrived() {
	c.connections.Add(1)
	c.last.Store(time.Now().UnixMilli())
}

// requested counts a request, which is one more connection for those who count these.
func (c *counters) requested() {
	c.requests.Add(1)
	c.arrived()
}

func (c *counters) moved(in, out int) {
	c.bytesIn.Add(uint64(in))
	c.bytesOut.Add(uint64(out))
}

// missed counts a connection that the laptop did not get, and why.
func (c *counters) missed(why error) {
	c.fallbacks.Add(1)
	c.byReason[reasonOf(why)].Add(1)
}

// reasonOf is what failed, by the error of Opener.Open.
func reasonOf(err error) rpc.Reason {
	var v *relay.VerdictError
	switch {
	case errors.As(err, &v):
		switch v.Verdict {
		case frame.Refused:
			return rpc.Reason_PROGRAM_REFUSED
		case frame.TimedOut, frame.Unreachable:
			return rpc.Reason_PROGRAM_SILENT
		case frame.Denied:
			return rpc.Reason_NOT_ALLOWED
		}
		return rpc.Reason_SESSION_AWAY
	case errors.Is(err, http.ErrSlow):
		return rpc.Reason_TOO_SLOW
	case errors.Is(err, http.ErrCut):
		return rpc.Reason_CUT
	case errors.Is(err, relay.ErrRefused):
		return rpc.Reason_PROGRAM_REFUSED
	case errors.Is(err, relay.ErrAway):
		return rpc.Reason_SESSION_AWAY
	case errors.Is(err, relay.ErrSilent), errors.Is(err, context.DeadlineExceeded):
		return rpc.Reason_SESSION_SILENT
	}
	return rpc.Reason_MANAGER_UNREACHABLE
}
