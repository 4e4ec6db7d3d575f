package access

import (
	"net/netip"
	"slices"
	"time"
)

const (
	// quietAfter is how long outbound carriers may bring nothing before they are asked for
	// a sign of life.
	quietAfter = 2 * time.Second
	// After awayAfter observations with a question and no answer the cluster is out of
	// reach. After deadAfter the connections are given up; after backAfter already, where
	// this machine had no network until just now: a kernel may wait for much longer before
	// it sends again.
	awayAfter, deadAfter, backAfter = 4, 13, 2
)

// reach decides whether the cluster can be reached, from one observation after another.
type reach struct {
	// local are this machine's addresses on the route to the API server, which connections
	// may have.
	local   []netip.Addr
	gone    bool // there were none at the last observation
	asked   int  // observations without an answer
	back    int  // observations since there are addresses again, while carriers are quiet
	renewed bool // since something was heard
	ups     int  // outbound carriers that had come up when something was last heard
}

// actions are what follows from an observation.
type actions struct {
	// away: programs that dial the cluster hear at once that it cannot be reached.
	// renew: all connections are dead. moved: this machine's network may be another one.
	away, renew, moved bool
}

// observe takes this machine's addresses on the route to the API server: none if there is
// no route, the zero Addr if the API server's address is not known. An address that is
// missing in now is lost only if this machine does not have it any more: a name may have
// one answer less. Outbound carriers have brought nothing for quiet, and so many (ups)
// have come up so far.
func (r *reach) observe(now []netip.Addr, has func(netip.Addr) bool, quiet time.Duration, ups int) actions {
	if len(now) == 0 {
		r.gone = true
		return actions{away: true}
	}
	lost := slices.ContainsFunc(r.local, func(a netip.Addr) bool { return a.IsValid() && !slices.Contains(now, a) && !has(a) })
	if lost { // connections of that address are dead
		*r = reach{local: now, renewed: true, ups: ups}
		return actions{renew: true, moved: true}
	}
	returned := r.gone && len(r.local) > 0
	local := slices.Concat(r.local, now)
	slices.SortFunc(local, netip.Addr.Compare)
	local = slices.Compact(local)
	moved := returned || len(r.local) > 0 && len(local) > len(r.local)
	r.local, r.gone = local, false
	if quiet <= quietAfter {
		// After a long silence only new carriers may be heard, because the traffic-manager
		// has given up the old ones. Then the other connections are dead as well.
		renew := !r.renewed && r.asked > awayAfter && ups > r.ups
		*r = reach{local: local, ups: ups}
		return actions{moved: moved, renew: renew}
	}
	r.asked++
	if returned || r.back > 0 {
		r.back++
	}
	if !r.renewed && (r.asked > deadAfter || r.back > backAfter) {
		r.renewed, r.back = true, 0
		return actions{renew: true, away: r.asked > awayAfter, moved: moved}
	}
	return actions{away: r.asked > awayAfter || r.back > 0, moved: moved}
}
