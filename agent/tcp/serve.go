package tcp

import (
	"context"
	"net"
	"net/netip"

	"github.com/kubectl-intercept/kubectl-intercept/agent/capture"
	"github.com/kubectl-intercept/kubectl-intercept/agent/relay"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// serve leads one connection to its end.
func (l *Listener) serve(c *net.TCPConn) {
	source := capture.Unmap(c.RemoteAddr().(*net.TCPAddr).AddrPort())
	if nonce, ok := l.book.Answer(source); ok {
		c.Write(nonce) // the prober sees what goes wrong
		c.Close()
		return
	}
	caller := tunnel.NewTCP(c)
	dialled, ok := l.cfg.Dialled(c)
	if !ok {
		caller.Reset()
		return
	}
	f := l.connect(c, source, dialled)
	if f == nil {
		caller.Reset()
		return
	}
	if f.caller == nil {
		f.caller = caller
	}
	if !l.adopt(f) {
		caller.Reset()
		f.other.Reset()
		return
	}
	defer l.release(f)
	if err := tunnel.Pipe(f.caller, f.other, f.count); err != nil {
		l.log.Debug("connection broke", "source", source, "error", err)
	}
}

// connect finds the other end of a connection: the laptop or the application,
// which has got what was read already. Nil means that there is none.
func (l *Listener) connect(c *net.TCPConn, source, dialled netip.AddrPort) *flow {
	t := l.target.Load()
	if t.route == nil {
		return l.application(dialled, nil)
	}
	buf := l.firsts.Get().(*[maxFirst]byte)
	defer l.firsts.Put(buf) // not held while the connection lives
	first, over, err := firstBytes(c, buf[:])
	if err != nil {
		return nil
	}
	o := opening{first: first}
	if t.route.Probes != nil {
		o = judge(c, t.route.Probes.From(source.Addr()), buf[:], first, over)
	}
	f := l.lead(o, t, source, dialled)
	if f != nil && o.acks != nil {
		f.caller = &acked{Stream: tunnel.NewTCP(c), filter: o.acks}
	}
	return f
}

// lead takes a connection to the laptop, unless it is a probe.
func (l *Listener) lead(o opening, t *target, source, dialled netip.AddrPort) *flow {
	if o.probe {
		return l.application(dialled, o.first)
	}
	t.counters.Arrived()
	if len(t.route.Relays) == 0 { // the laptop is away
		t.counters.Missed(relay.ErrAway)
		return l.application(dialled, o.first)
	}
	open := &frame.Open{Protocol: frame.TCP, Port: l.cfg.Port, Source: source, First: o.first}
	laptop, err := l.opener.Open(t.ctx, t.route, open)
	if err != nil {
		return l.fallBack(dialled, o.first, t, err)
	}
	t.counters.Moved(len(o.first), 0)
	return &flow{other: laptop, route: t.route, count: t.counters.Moved}
}

// fallBack gives a connection that the laptop did not take to the application,
// unless the route forbids it. Where the port is somebody else's by now, the
// caller is to come anew.
func (l *Listener) fallBack(to netip.AddrPort, first []byte, t *target, why error) *flow {
	if t.ctx.Err() != nil { // the intercept has just ended
		if now := l.target.Load().route; now != nil && !now.SameOwner(t.route) {
			return nil
		}
		return l.application(to, first)
	}
	t.counters.Missed(why)
	if t.route.NoFallback {
		l.log.Debug("laptop did not take the connection, closed", "error", why)
		return nil
	}
	l.log.Debug("laptop did not take the connection, the application does", "error", why)
	return l.application(to, first)
}

// application connects with the application, which gets first before everything
// else.
func (l *Listener) application(to netip.AddrPort, first []byte) *flow {
	conn, err := l.cfg.Dial(context.WithoutCancel(l.ctx), to)
	if err != nil {
		// Without the agent the caller would have been refused, too.
		l.log.Debug("application did not take the connection", "error", err)
		return nil
	}
	application := tunnel.NewTCP(conn)
	if len(first) > 0 {
		if _, err := application.Write(first); err != nil {
			application.Reset()
			return nil
		}
	}
	return &flow{other: application}
}
