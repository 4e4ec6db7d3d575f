package forward

import (
	"context"
	"net"
	"net/netip"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// Flow is a caller's connection, with what it leads to.
type Flow interface {
	// Serve moves bytes until the connection has ended. The error is that of the
	// direction which broke first.
	Serve() error
	// Reset drops all connections of the flow, so that their peers see an error.
	Reset()
	// Stale says that the routes have changed so that the caller must connect anew.
	Stale() bool
	// Routed says that a laptop has the flow, or can have a part of it.
	Routed() bool
}

// wholeFlow is a caller's connection that one far end has as a whole.
type wholeFlow struct {
	port       *Port
	caller     tunnel.Stream
	far        tunnel.Stream
	route      *Route // nil: the application has it
	noRequests bool   // single requests could be told apart when it began, and it has none
	untaken    bool   // the application has it since no route was for it when it began
}

// Serve implements Flow.
func (w *wholeFlow) Serve() error {
	if w.route == nil {
		return tunnel.Pipe(w.caller, w.far, nil)
	}
	return tunnel.Pipe(w.caller, w.far, w.route.Moved)
}

// Reset implements Flow.
func (w *wholeFlow) Reset() {
	w.caller.Reset()
	w.far.Reset()
}

// Stale implements Flow.
func (w *wholeFlow) Stale() bool {
	now := w.port.table.Load()
	if w.route != nil && w.route.Left() {
		return true
	}
	taken := now.matches != nil && !w.noRequests || w.untaken && now.everything() != nil
	return taken && !now.keepEstablished
}

// Routed implements Flow.
func (w *wholeFlow) Routed() bool { return w.route != nil }

// Connect finds what a caller's connection leads to. Nil means that there is nothing.
// Dialed is where the caller meant to connect to.
func (p *Port) Connect(c *net.TCPConn, source, dialed netip.AddrPort) Flow {
	t := p.table.Load()
	if t.matches != nil || t.copied != nil {
		return p.newSplitFlow(c, source, dialed)
	}
	caller, r := tunnel.NewTCP(c), t.everything()
	if r == nil {
		f := p.application(p.copied(t, caller, source, nil), dialed, nil)
		if w, ok := f.(*wholeFlow); ok {
			w.untaken = len(t.routes) > 0
		}
		return f
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
	caller = p.copied(t, caller, source, nil)
	began(caller, o.first)
	f := p.toLaptop(r, caller, source, dialed, o.first)
	if f == nil {
		caller.Reset() // and what is copied of it
	}
	return f
}

// toLaptop gives a connection to a route's laptop or, if the laptop does not take it,
// to the application.
func (p *Port) toLaptop(r *Route, caller tunnel.Stream, source, dialed netip.AddrPort, first []byte) Flow {
	r.Arrived()
	laptop, err := p.Open(r.ctx, r, &frame.Open{Protocol: frame.TCP, Source: source, First: first})
	if err == nil {
		r.Moved(len(first), 0)
		return &wholeFlow{port: p, caller: caller, far: laptop, route: r}
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
func (p *Port) application(caller tunnel.Stream, dialed netip.AddrPort, first []byte) Flow {
	application, err := p.openApplication(dialed, first)
	if err != nil {
		// Without the agent the caller would have been refused, too.
		p.log.Debug("the application did not take a connection", "error", err)
		return nil
	}
	return &wholeFlow{port: p, caller: caller, far: application}
}

// dialApplication connects with the application or, while it is stopped, with what answers in
// its place.
func (p *Port) dialApplication(ctx context.Context, dialed netip.AddrPort) (*net.TCPConn, error) {
	if u := p.table.Load().understudy; u != nil {
		return u.Dial(ctx)
	}
	return p.dial(ctx, dialed)
}

// openApplication connects with the application and sends it first.
func (p *Port) openApplication(dialed netip.AddrPort, first []byte) (tunnel.Stream, error) {
	conn, err := p.dialApplication(context.WithoutCancel(p.ctx), dialed)
	if err != nil {
		return nil, err
	}
	application := tunnel.NewTCP(conn)
	if len(first) > 0 {
		if _, err := application.Write(first); err != nil {
			application.Reset()
			return nil, err
		}
	}
	return application, nil
}
