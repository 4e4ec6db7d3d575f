package forward

import (
	"context"
	"net"
	"net/netip"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// Flow is a caller's connection and its far ends.
type Flow struct {
	caller tunnel.Stream
	ends   []end // the first answers the caller
}

// end is one far end of a flow.
type end struct {
	tunnel.Stream
	route *Route // nil: the application
}

// Pipe moves bytes until both directions have ended. The error is that of the
// direction which broke first.
func (f *Flow) Pipe() error {
	answering := f.ends[0]
	if answering.route == nil {
		return tunnel.Pipe(f.caller, answering.Stream, nil)
	}
	return tunnel.Pipe(f.caller, answering.Stream, answering.route.Moved)
}

// Reset drops all connections of the flow, so that their peers see an error.
func (f *Flow) Reset() {
	f.caller.Reset()
	for _, e := range f.ends {
		e.Reset()
	}
}

// Left says that a route of the flow has left.
func (f *Flow) Left() bool {
	for _, e := range f.ends {
		if e.route != nil && e.route.Left() {
			return true
		}
	}
	return false
}

// Routed says that the flow goes to a laptop.
func (f *Flow) Routed() bool { return f.ends[0].route != nil }

// Connect finds the far ends of a caller's connection, which have got all that it
// had to read from the caller. Nil means that there is none. Dialed is where the
// caller meant to connect to.
func (p *Port) Connect(c *net.TCPConn, source, dialed netip.AddrPort) *Flow {
	t, caller := p.table.Load(), tunnel.NewTCP(c)
	r := t.pick()
	if r == nil {
		return p.application(caller, dialed, nil)
	}
	buf := p.firsts.Get().(*[maxFirst]byte)
	defer p.firsts.Put(buf) // not held while the connection lives
	first, over, err := firstBytes(c, buf[:])
	if err != nil {
		return nil
	}
	o := opening{first: first}
	if t.probes != nil {
		o = classify(c, t.probes.From(source.Addr()), buf[:], first, over)
	}
	if o.acks != nil {
		caller = &acked{Stream: caller, filter: o.acks}
	}
	if o.probe {
		return p.application(caller, dialed, o.first)
	}
	return p.take(r, caller, source, dialed, o.first)
}

// take gives a connection to a route's laptop or, if the laptop does not take it,
// to the application.
func (p *Port) take(r *Route, caller tunnel.Stream, source, dialed netip.AddrPort, first []byte) *Flow {
	r.Arrived()
	laptop, err := p.Open(r.ctx, r, &frame.Open{Protocol: frame.TCP, Source: source, First: first})
	if err == nil {
		r.Moved(len(first), 0)
		return &Flow{caller, []end{{laptop, r}}}
	}
	if r.Left() && p.Pick() != nil {
		return nil // another intercept has the port by now: the caller must connect anew
	}
	if !r.Left() && !p.FallsBack(r, err) {
		return nil
	}
	return p.application(caller, dialed, first)
}

// application connects with the application, which gets first before everything
// else.
func (p *Port) application(caller tunnel.Stream, dialed netip.AddrPort, first []byte) *Flow {
	conn, err := p.dial(context.WithoutCancel(p.ctx), dialed)
	if err != nil {
		// Without the agent the caller would have been refused, too.
		p.log.Debug("the application did not take a connection", "error", err)
		return nil
	}
	application := tunnel.NewTCP(conn)
	if len(first) > 0 {
		if _, err := application.Write(first); err != nil {
			application.Reset()
			return nil
		}
	}
	return &Flow{caller, []end{{application, nil}}}
}
