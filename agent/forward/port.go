// Package forward decides where a connection to one port of the application goes:
// to the laptop of the first route that takes it, or to the application.
package forward

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/relay"
	"github.com/kubectl-intercept/kubectl-intercept/agent/tls"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// Opener opens flows to laptops, as relay.Opener does.
type Opener interface {
	Open(context.Context, *relay.Owner, *frame.Open) (tunnel.Stream, error)
}

// Dial connects to the application by TCP.
type Dial func(context.Context, netip.AddrPort) (*net.TCPConn, error)

// Port is where the connections of one port go. Until routes are set the
// application has them. Its methods may be called concurrently, except Set.
type Port struct {
	ctx    context.Context
	number uint16
	opener Opener
	dial   Dial
	keys   *tls.Keys
	log    *slog.Logger
	firsts sync.Pool // of *[maxFirst]byte
	table  atomic.Pointer[table]
	seen   seen
}

// NewPort returns the Port of a number of the application. Dial is for TCP alone.
func NewPort(ctx context.Context, number uint16, opener Opener, dial Dial, log *slog.Logger) *Port {
	p := &Port{ctx: ctx, number: number, opener: opener, dial: dial, log: log.With("port", number)}
	p.keys = tls.NewKeys(rpc.TerminatingFolder, rpc.OriginatingFolder, p.log)
	p.firsts.New = func() any { return new([maxFirst]byte) }
	p.table.Store(&table{})
	p.seen.left.Store(maxCompared)
	return p
}

// Number is the application's port.
func (p *Port) Number() uint16 { return p.number }

// Set makes the routes those of c; nil is for none. Where an owner had a route
// before, its counters and connections go on. The other routes from before have
// left: see Route.Left.
//
// The function that it returns says of a flow of datagrams, by its route, whether
// it must begin anew: its route has left; its laptop was away and can be reached
// now; or it had no route and there is one now.
func (p *Port) Set(c *rpc.CapturePort) (anew func(*Route) bool) {
	old, now := p.table.Load(), &table{}
	if c != nil {
		now = p.newTable(c, old)
	}
	p.table.Store(now)
	if len(now.personal)+len(now.copies) == 0 {
		p.seen.forget()
	}
	for _, r := range now.asked(old) {
		go p.tell(r)
	}
	var back []*Route
	for _, r := range old.routes {
		switch successor := now.of(&r.Owner); {
		case successor == nil:
			r.leave()
		case len(r.Relays) == 0 && len(successor.Relays) > 0:
			back = append(back, successor)
		}
	}
	return func(r *Route) bool {
		if r == nil {
			return now.everything() != nil
		}
		return r.Left() || slices.ContainsFunc(back, func(b *Route) bool { return b.Same(&r.Owner) })
	}
}

// Noticed is until when requests are told of routes that are gone; zero if there are none.
func (p *Port) Noticed() time.Time { return p.table.Load().noticed() }

// Report puts the counts of a route into its report. A route that the agent
// cannot follow has failed.
func (p *Port) Report(report *rpc.RouteReport) {
	p.seen.left.Store(maxCompared)
	for _, r := range p.table.Load().routes {
		if r.UID != report.InterceptUid {
			continue
		}
		r.counters.report(report)
		if r.tally != nil {
			report.Comparison = r.tally.report(&p.seen)
		}
		if r.unknown != "" {
			report.State, report.Message = rpc.PortState_FAILED, r.unknown
		}
	}
}

// Pick returns the route that takes a flow that begins now; nil, if the
// application has it.
func (p *Port) Pick() *Route { return p.table.Load().everything() }

// Open opens a flow to a route's laptop.
func (p *Port) Open(ctx context.Context, r *Route, open *frame.Open) (tunnel.Stream, error) {
	if len(r.Relays) == 0 {
		return nil, relay.ErrAway
	}
	open.Port = p.number
	return p.opener.Open(ctx, &r.Owner, open)
}

// FallsBack counts a flow that the laptop did not take, and says whether the
// application has it instead.
func (p *Port) FallsBack(r *Route, why error) bool {
	r.counters.missed(why)
	falls := r.fallsBack()
	p.log.Debug("the laptop did not take a flow", "intercept", r.Intercept, "fallback", falls, "error", why)
	return falls
}
