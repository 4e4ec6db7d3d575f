// Package relay opens flows to the laptop: through a replica of the
// traffic-manager that holds the carriers of the laptop's session.
package relay

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/probe"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// Route says where the connections of one port go. It is never changed, only
// replaced.
type Route struct {
	// Intercept is "namespace/name", UID its UID.
	Intercept, UID string
	Session        string
	// Relays are the addresses to try; none when the laptop is away.
	Relays []string
	// NoFallback closes what the laptop does not take.
	NoFallback bool
	// Probes stay with the application; nil if there are none.
	Probes *probe.Set
}

// SameOwner says that o is the same intercept of the same session, so that its
// connections may go on.
func (r *Route) SameOwner(o *Route) bool {
	return o != nil && r != nil && r.UID == o.UID && r.Session == o.Session
}

// RouteOf is the route of a port as the traffic-manager sends it.
func RouteOf(c *rpc.CapturePort) *Route {
	r := c.Routes[0]
	return &Route{
		Intercept: r.Intercept, UID: r.InterceptUid, Session: r.Session,
		Relays: r.Relays, NoFallback: r.NoFallback, Probes: probe.Of(c),
	}
}

// ErrNoRelay is why a flow is not opened when no relay is worth asking: none is
// known, or those known failed a moment ago.
var ErrNoRelay = errors.New("no relay reaches the laptop")

// Counters are what one intercept of one port has seen in this pod.
type Counters struct {
	// Connections counts all that arrived, Fallbacks those among them that the
	// laptop was meant to answer and did not: the application has, or nobody
	// where there is no fallback.
	Connections, Fallbacks atomic.Uint64
	// BytesIn came from callers, BytesOut went to them; the laptop's alone.
	BytesIn, BytesOut atomic.Uint64
	// LastConnection is in Unix milliseconds.
	LastConnection atomic.Int64

	missed [len(reasons)]atomic.Uint64 // of Fallbacks, by reason
}

// Report puts the counts into r.
func (c *Counters) Report(r *rpc.RouteReport) {
	r.Connections, r.Fallbacks, r.Missed = c.Connections.Load(), c.Fallbacks.Load(), c.Reasons()
	r.BytesIn, r.BytesOut, r.LastConnection = c.BytesIn.Load(), c.BytesOut.Load(), c.LastConnection.Load()
}

// Arrived counts a connection.
func (c *Counters) Arrived() {
	c.Connections.Add(1)
	c.LastConnection.Store(time.Now().UnixMilli())
}

// Moved counts bytes; it fits tunnel.Pipe with the caller first.
func (c *Counters) Moved(in, out int) {
	c.BytesIn.Add(uint64(in))
	c.BytesOut.Add(uint64(out))
}
