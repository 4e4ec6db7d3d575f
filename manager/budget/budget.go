// Package budget bounds what one peer may use of a replica of the traffic-manager, and is
// the one place for it: limits.go has all figures, and what happens beyond each of them.
// A peer is an address whose owner is not known yet, a session, a user, or the agents of a
// pod. Nothing is counted for each byte: a peer takes from its budget when a
// connection, a flow or a message begins.
package budget

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Peer is a kind of peer.
type Peer string

// The kinds of peers.
const (
	Stranger Peer = "stranger" // by its address
	Session  Peer = "session"  // by the name of its object
	User     Peer = "user"
	Agent    Peer = "agent" // by namespace and name of its pod
)

// Budget holds what the peers of this replica use. It is safe for concurrent use.
type Budget struct {
	// Strangers are connections, by address.
	Strangers *Strangers
	// Lookups are reads of Sessions that a stranger names, Enrollments are attempts of
	// agents to enroll. Both cost the API server a request, and both are by address.
	Lookups, Enrollments *Rate
	// Reviews are requests of the webhook, by address.
	Reviews *Limit
	// Hellos are carriers that a session begins.
	Hellos *Rate
	// Questions are what a session asks about traffic, of which every replica is asked.
	Questions *Rate
	// Connections are those of a pod's agents, Watches their control streams, and Reports
	// what they say on these.
	Connections, Watches *Limit
	Reports              *Rate

	sessionFlows, userFlows, sessionLines, userLines *Limit

	refusals *refusals
}

// New returns a Budget of which nothing is used. It tells the log of peers that are
// refused, seldom enough that they cannot fill it.
func New(log *slog.Logger) *Budget {
	r := &refusals{log: log, counts: map[Refusal]uint64{}, told: map[Refusal]time.Time{}}
	return &Budget{
		Strangers:    newStrangers(r, strangersAll, strangersEach),
		Lookups:      newRate(r, Stranger, "unknown sessions", lookupsPerSecond, lookupsBurst),
		Enrollments:  newRate(r, Stranger, "enrollments", enrollmentsPerSecond, enrollmentsBurst),
		Reviews:      newLimit(r, Stranger, "admission reviews", reviewsEach, reviewsAll),
		Hellos:       newRate(r, Session, "new carriers", hellosPerSecond, hellosBurst),
		Questions:    newRate(r, Session, "questions about traffic", questionsPerSecond, questionsBurst),
		Connections:  newLimit(r, Agent, "connections", agentConnections, 0),
		Watches:      newLimit(r, Agent, "control streams", agentWatches, 0),
		Reports:      newRate(r, Agent, "reports", reportsPerSecond, reportsBurst),
		sessionFlows: newLimit(r, Session, "flows", sessionFlows, 0),
		userFlows:    newLimit(r, User, "flows", userFlows, 0),
		sessionLines: newLimit(r, Session, "lines", sessionLines, 0),
		userLines:    newLimit(r, User, "lines", userLines, 0),
		refusals:     r,
	}
}

// Flow takes a flow on a carrier from the budgets of the session and its user. The caller
// must call release when the flow has ended.
func (b *Budget) Flow(session, user string) (release func(), err error) {
	return both(b.sessionFlows, session, b.userFlows, user)
}

// Line takes a line that is in use from the budgets of the session and its user. The
// caller must call release when the line is closed.
func (b *Budget) Line(session, user string) (release func(), err error) {
	return both(b.sessionLines, session, b.userLines, user)
}

func both(a *Limit, ofA string, b *Limit, ofB string) (release func(), err error) {
	first, err := a.Take(ofA)
	if err != nil {
		return nil, err
	}
	second, err := b.Take(ofB)
	if err != nil {
		first()
		return nil, err
	}
	return func() { second(); first() }, nil
}

// AddressOf is the IP address of a peer, which names a stranger.
func AddressOf(a net.Addr) string {
	if a == nil {
		return ""
	}
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return a.String()
	}
	return at.Addr().Unmap().String()
}

// OverError says which peer has used up which budget.
type OverError struct {
	Peer Peer
	Name string
	// Bound is the budget, as "2048 flows".
	Bound string
}

// Error names the peer and its budget.
func (e *OverError) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("the traffic-manager serves at most %s to all peers together", e.Bound)
	}
	return fmt.Sprintf("%s %s has all of its %s at this traffic-manager", e.Peer, e.Name, e.Bound)
}

// Refusal is what is counted: a kind of peer, and of what it wanted too much.
type Refusal struct {
	Peer   Peer
	Reason string
}

// tellEvery is the least time between two lines of the log about one kind of Refusal.
const tellEvery = time.Minute

// refusals counts.
type refusals struct {
	log    *slog.Logger
	mu     sync.Mutex
	counts map[Refusal]uint64
	told   map[Refusal]time.Time
}

// refuse counts a refusal, and returns what the peer may be told.
func (r *refusals) refuse(peer Peer, name, reason, bound string) *OverError {
	err := &OverError{peer, name, bound}
	what, now := Refusal{peer, reason}, time.Now()
	r.mu.Lock()
	r.counts[what]++
	due := now.Sub(r.told[what]) >= tellEvery
	if due {
		r.told[what] = now
	}
	r.mu.Unlock()
	if due {
		r.log.Warn("a peer is over its budget", "peer", string(peer), "name", name, "reason", reason, "bound", bound)
	}
	return err
}

// Refusals returns how many peers were refused so far.
func (b *Budget) Refusals() map[Refusal]uint64 {
	b.refusals.mu.Lock()
	defer b.refusals.mu.Unlock()
	out := make(map[Refusal]uint64, len(b.refusals.counts))
	for what, n := range b.refusals.counts {
		out[what] = n
	}
	return out
}
