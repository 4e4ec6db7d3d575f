package forward

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"slices"
	"sync"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/agent/mirror"
	"github.com/kubectl-intercept/kubectl-intercept/agent/probe"
	"github.com/kubectl-intercept/kubectl-intercept/agent/relay"
	"github.com/kubectl-intercept/kubectl-intercept/agent/tls"
	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// maxWaiting bounds the bytes that wait for one laptop to take its copies.
const maxWaiting = 8 << 20

// copier is the http.Copier of a mirror: a route that copies.
type copier struct {
	port   *Port
	source netip.AddrPort
	secure *tls.Session // if the caller speaks TLS, which ends here
	tally  *tally       // of a mirror that copies requests, one by one; else nil
	*tenure
}

// Open implements http.Target.
func (c copier) Open(ctx context.Context, first []byte) (tunnel.Stream, error) {
	r := c.port.table.Load().during(c.tenure)
	if r == nil {
		return nil, relay.ErrAway
	}
	return c.port.Open(ctx, r, open(c.source, c.secure, first))
}

// Arrived implements http.Target.
func (c copier) Arrived() {
	if c.tally != nil {
		c.counters.requested()
	} else {
		c.counters.arrived()
	}
}

// Missed implements http.Target. A copy that its laptop did not get goes nowhere else.
func (c copier) Missed(why error) http.Decision {
	c.counters.missed(why)
	return http.Decision{}
}

// Moved implements http.Target. What the laptop answers is thrown away.
func (c copier) Moved(in, _ int) { c.counters.moved(in, 0) }

// Gone implements http.Target.
func (c copier) Gone() <-chan struct{} { return c.ctx.Done() }

// Mark implements http.Target.
func (c copier) Mark() http.Field { return http.Field{} }

// Waits implements http.Copier.
func (c copier) Waits(n int) { c.waiting.Add(int64(n)) }

// Full implements http.Copier.
func (c copier) Full() bool { return c.waiting.Load() >= maxWaiting }

// copies are the mirrors that get a copy of a request.
func (q *splitFlow) copies(t *table, r *match.Request) []http.Copier {
	if t.copied == nil {
		return nil
	}
	var few [8]int
	var all []http.Copier
	for _, k := range t.copied.Find(r, few[:0]) {
		all = append(all, copier{q.port, q.source, q.secure, t.copies[k].tally, t.copies[k].tenure})
	}
	return all
}

// open opens a flow to a laptop.
func open(source netip.AddrPort, secure *tls.Session, first []byte) *frame.Open {
	o := &frame.Open{Protocol: frame.TCP, Source: source, First: first}
	if secure != nil {
		o.TLS, o.ServerName = true, secure.ServerName
	}
	return o
}

// copied is a caller of whose bytes mirrors get a copy. It reads as if there were none,
// but the kernel cannot move the bytes.
type copied struct {
	tunnel.Stream
	port   *Port
	to     []copier // forgotten once it is known whether they get copies
	probes probe.Caller
	inside bool   // the bytes are those in TLS
	held   []byte // what has come until then

	mu      sync.Mutex
	mirrors []*mirror.Mirror
	over    bool
}

// copied returns the caller, of whose bytes the mirrors of a table get a copy, if there are
// any.
func (p *Port) copied(t *table, caller tunnel.Stream, source netip.AddrPort, secure *tls.Session) tunnel.Stream {
	if len(t.wholes) == 0 {
		return caller
	}
	c := &copied{Stream: caller, port: p, probes: t.probes.From(source.Addr()), inside: secure != nil}
	for _, r := range t.wholes {
		c.to = append(c.to, copier{p, source, secure, nil, r.tenure})
	}
	return c
}

// began copies what was read of a caller before.
func began(caller tunnel.Stream, first []byte) {
	if c, ok := caller.(*copied); ok && len(first) > 0 {
		c.copy(first, false)
	}
}

// Read implements tunnel.Stream.
func (c *copied) Read(p []byte) (int, error) {
	n, err := c.Stream.Read(p)
	if n > 0 {
		c.copy(p[:n], false)
	}
	switch {
	case errors.Is(err, io.EOF):
		if len(c.held) > 0 {
			c.copy(nil, true)
		}
		c.end((*mirror.Mirror).Close)
	case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
		c.end((*mirror.Mirror).Cut)
	}
	return n, err
}

// copy copies bytes of the caller; over says that no others come. The kubelet's probes are
// nobody's but the application's: what may be one waits until more tells.
func (c *copied) copy(b []byte, over bool) {
	if c.to == nil {
		for _, m := range c.mirrors {
			m.Add(b)
		}
		return
	}
	if len(c.held) > 0 {
		b = append(c.held, b...)
	}
	switch c.probes.Begins(b, over || len(b) >= maxFirst, c.inside) {
	case probe.Unknown:
		c.held = slices.Clone(b)
		return
	case probe.Other:
		c.begin()
	}
	c.to, c.held = nil, nil
	for _, m := range c.mirrors {
		m.Begin(b)
	}
}

func (c *copied) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	for _, t := range c.to {
		c.mirrors = append(c.mirrors, mirror.New(c.port.ctx, t, nil))
	}
}

// end ends the copies.
func (c *copied) end(how func(*mirror.Mirror)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	for _, m := range c.mirrors {
		how(m)
	}
}

// Close implements tunnel.Stream.
func (c *copied) Close() error {
	c.end((*mirror.Mirror).Close)
	return c.Stream.Close()
}

// Reset implements tunnel.Stream.
func (c *copied) Reset() {
	c.end((*mirror.Mirror).Cut)
	c.Stream.Reset()
}
