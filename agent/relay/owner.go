// Package relay opens flows to the laptop: through a replica of the
// traffic-manager that holds the carriers of the laptop's session.
package relay

import (
	"errors"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
)

// Owner is an intercept whose flows are opened, and its session.
type Owner struct {
	// Intercept is "namespace/name", UID its UID.
	Intercept, UID string
	Session        string
	// Relays are the addresses to try; none when the laptop is away.
	Relays []string
}

// OwnerOf is the owner of a route that the traffic-manager sent.
func OwnerOf(r *rpc.Route) Owner {
	return Owner{Intercept: r.Intercept, UID: r.InterceptUid, Session: r.Session, Relays: r.Relays}
}

// Same says that both are one intercept of one session, so that connections of
// one may go on under the other.
func (o *Owner) Same(other *Owner) bool { return o.UID == other.UID && o.Session == other.Session }

// line is the upstream for the owner's flows through a relay.
func (o *Owner) line(addr string) upstream {
	return upstream{addr, handshake.LineRequest{Session: o.Session, Intercept: o.Intercept, InterceptUID: o.UID}}
}

// Errors by which Open says what failed.
var (
	// ErrNoRelay: no relay is worth asking. None is known, or those known failed a
	// moment ago.
	ErrNoRelay = errors.New("no relay reaches the laptop")
	// ErrAway: the session has no connection to any replica of the
	// traffic-manager.
	ErrAway = errors.New("the laptop is away")
	// ErrSilent: a moment ago the session did not answer.
	ErrSilent = errors.New("the laptop does not answer")
	// ErrRefused: the program's port is closed.
	ErrRefused = errors.New("nothing listens on the laptop")
)
