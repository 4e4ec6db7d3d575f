package forward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/agent/http/http1"
	"github.com/kubectl-intercept/kubectl-intercept/agent/http/http2"
	"github.com/kubectl-intercept/kubectl-intercept/agent/tls"
	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
	"github.com/kubectl-intercept/kubectl-intercept/manager/socket"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
)

// splitFlow is a caller's connection whose HTTP requests are told apart. It is the
// http.Switch of the connection. If it turns out to carry something else, it becomes a
// wholeFlow.
type splitFlow struct {
	port           *Port
	conn           *net.TCPConn
	caller         tunnel.Stream
	source, dialed netip.AddrPort
	ctx            context.Context // ends when the connection has to
	cancel         context.CancelFunc
	app            application
	secure         *tls.Session // if the caller speaks TLS, which ends here; else nil

	mu      sync.Mutex
	waiting *farStream // was opened for a caller that was silent at first, and is not used yet
	became  *wholeFlow // once it is known that the connection is not told apart
}

// farStream is a connection to the application or, with a tenure, to a laptop.
type farStream struct {
	tunnel.Stream
	tenure *tenure
	asked  *Route // the route that takes every connection; nil if there was none
	missed error  // why its laptop does not have the connection
}

// count counts the connection for the route.
func (f *farStream) count(p *Port) {
	if f.asked != nil {
		f.asked.Arrived()
	}
	if f.missed != nil {
		p.FallsBack(f.asked, f.missed)
	}
}

func (p *Port) newSplitFlow(c *net.TCPConn, source, dialed netip.AddrPort) *splitFlow {
	q := &splitFlow{port: p, conn: c, caller: tunnel.NewTCP(c), source: source, dialed: dialed}
	q.app.flow = q
	q.ctx, q.cancel = context.WithCancel(p.ctx)
	return q
}

// Serve implements Flow.
func (q *splitFlow) Serve() error {
	defer q.end()
	b, err := q.begin()
	if err == nil && b.protocol == http.Other {
		b, err = q.terminate(b)
	}
	if err != nil {
		q.caller.Reset()
		return err
	}
	if !b.probe {
		q.caller = q.port.copied(q.port.table.Load(), q.caller, q.source, q.secure)
		began(q.caller, b.first)
	}
	switch b.protocol {
	case http.HTTP1:
		return http1.Serve(q.ctx, q.caller, b.first, q, q.port.log)
	case http.HTTP2:
		return http2.Serve(q.ctx, q.caller, b.first, q, q.port.log)
	}
	return q.pass(b)
}

// pass gives the connection to one far end as a whole.
func (q *splitFlow) pass(b beginning) error {
	w := q.connectWhole(&b)
	if w == nil {
		q.caller.Reset()
		return nil
	}
	if len(b.answer) > 0 {
		if _, err := q.caller.Write(b.answer); err != nil {
			w.Reset()
			return err
		}
	}
	q.mu.Lock()
	q.became = w
	stale := w.Stale() // by routes that have changed meanwhile
	q.mu.Unlock()
	if stale {
		w.Reset()
		return nil
	}
	stop := context.AfterFunc(q.ctx, w.Reset)
	defer stop()
	return w.Serve()
}

// connectWhole connects what is not told apart, after the first bytes.
func (q *splitFlow) connectWhole(b *beginning) *wholeFlow {
	far := q.useAhead()
	if far != nil && q.misleads(far, b) {
		far.Reset()
		far, b.answer = nil, nil
	}
	if far == nil && q.secure != nil {
		var err error
		if far, err = q.open(q.ctx); err != nil {
			far.count(q.port)
			return nil
		}
	}
	r := q.port.Pick()
	var f Flow
	switch {
	case far != nil:
		f = q.use(far, b)
	case r != nil && !b.probe:
		f = q.port.toLaptop(r, q.caller, q.source, q.dialed, b.first)
	default:
		f = q.port.application(q.caller, q.dialed, b.first)
	}
	w, ok := f.(*wholeFlow)
	if !ok {
		return nil
	}
	w.noRequests = true
	if far != nil {
		r = far.asked
	}
	w.untaken = r == nil && !b.probe
	return w
}

// misleads says that a connection which was opened in advance leads elsewhere than one that
// is opened now: to a laptop although it is a probe or the laptop's intercept has ended, or to
// the application although an intercept of every connection has begun.
func (q *splitFlow) misleads(far *farStream, b *beginning) bool {
	if far.tenure != nil {
		return b.probe || far.tenure.Left()
	}
	t := q.port.table.Load()
	return far.asked == nil && !b.probe && len(b.answer) == 0 && t.everything() != nil && !t.keepEstablished
}

// use makes an open connection the far end of the flow. It is nil if that fails.
func (q *splitFlow) use(far *farStream, b *beginning) Flow {
	if !b.probe {
		far.count(q.port)
	}
	if _, err := far.Write(b.first); err != nil {
		far.Reset()
		return nil
	}
	w := &wholeFlow{port: q.port, caller: q.caller, far: far.Stream}
	if far.tenure != nil {
		w.route = far.asked
		w.route.Moved(len(b.first), len(b.answer))
	}
	return w
}

// Reset implements Flow.
func (q *splitFlow) Reset() {
	q.cancel()
	tunnel.NewTCP(q.conn).Reset()
}

// Stale implements Flow. Each request is decided by the routes that there are then.
func (q *splitFlow) Stale() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.became != nil && q.became.Stale()
}

// Routed implements Flow.
func (q *splitFlow) Routed() bool { return true }

// end drops a connection that nothing used.
func (q *splitFlow) end() {
	q.cancel()
	if unused := q.useAhead(); unused != nil {
		unused.Close()
	}
	if q.secure != nil {
		q.secure.Close()
	}
}

// useAhead returns the connection that was opened in advance, once.
func (q *splitFlow) useAhead() *farStream {
	q.mu.Lock()
	defer q.mu.Unlock()
	f := q.waiting
	q.waiting = nil
	return f
}

// useAheadFor returns the connection that was opened in advance if it leads to the right
// far end, and sends first on it.
func (q *splitFlow) useAheadFor(t *tenure, first []byte) tunnel.Stream {
	q.mu.Lock()
	f := q.waiting
	if f == nil || f.tenure != t {
		q.mu.Unlock()
		return nil
	}
	q.waiting = nil
	q.mu.Unlock()
	if c := tunnel.TCP(f.Stream); c != nil {
		if quiet, err := socket.Quiet(c); err != nil || !quiet {
			f.Reset() // the application has closed it, unused
			return nil
		}
	}
	if _, err := f.Write(first); err != nil {
		f.Reset()
		return nil
	}
	return f.Stream
}

// Decide implements http.Switch.
func (q *splitFlow) Decide(r *match.Request) http.Decision { return q.decide(r, true) }

// DecideAgain implements http.Switch.
func (q *splitFlow) DecideAgain(r *match.Request) http.Decision { return q.decide(r, false) }

func (q *splitFlow) decide(r *match.Request, count bool) http.Decision {
	t := q.port.table.Load()
	if t.probes != nil && t.probes.From(q.source.Addr()).Asks(r) {
		return http.Decision{To: &q.app}
	}
	route, ended := t.find(r)
	d := http.Decision{To: &q.app}
	if ended != nil {
		d = http.Decision{Answer: ended.answer}
	} else {
		d.Copies = q.copies(t, r)
	}
	if route != nil {
		d.To = laptop{q, route.tenure}
	}
	if count {
		q.port.seen.request(t, r, route, d.Copies)
	}
	return d
}

// Application implements http.Switch.
func (q *splitFlow) Application() http.Target { return &q.app }

// Opaque implements http.Switch.
func (q *splitFlow) Opaque(reason string) {
	q.port.log.Debug("requests are not told apart", "caller", q.source, "reason", reason)
	t := q.port.table.Load()
	for _, r := range slices.Concat(t.personal, t.copies) {
		r.counters.opaque.Add(1)
	}
}

// beginning is how a connection begins.
type beginning struct {
	protocol http.Protocol
	first    []byte // what the caller has sent
	answer   []byte // what the far end has sent to a caller that was silent
	probe    bool
}

// sniffWait is for how long the beginning of a line may be followed by nothing, until it is
// taken for something else than a request.
const sniffWait = time.Second

// begin finds out what a connection carries.
func (q *splitFlow) begin() (beginning, error) {
	b, silent, err := q.read()
	if err != nil || !silent {
		return b, err
	}
	if q.port.table.Load().callerFirst {
		if err := q.peek(); err != nil && !errors.Is(err, io.EOF) {
			return beginning{}, fmt.Errorf("wait for first bytes: %w", err)
		}
	} else {
		first, answer, err := q.silent(q.peek)
		if err != nil || first {
			return beginning{answer: answer}, err
		}
	}
	b, _, err = q.read()
	return b, err
}

// read reads how a connection begins. Silent says that the caller has sent nothing yet.
func (q *splitFlow) read() (b beginning, silent bool, err error) {
	buf := q.port.firsts.Get().(*[maxFirst]byte)
	defer q.port.firsts.Put(buf) // not held while the caller is silent
	first, over, err := firstBytes(q.conn, buf[:])
	if err != nil {
		return beginning{}, false, err
	}
	t := q.port.table.Load()
	if len(first) == 0 && !over {
		return beginning{}, true, nil
	}
	protocol := http.Sniff(first)
	for protocol == http.Unknown && !over && len(first) < len(buf) {
		if len(first) > 0 {
			q.conn.SetReadDeadline(time.Now().Add(sniffWait))
		}
		n, err := q.conn.Read(buf[len(first):])
		first = buf[:len(first)+n]
		protocol = http.Sniff(first)
		if err != nil {
			break // it comes again
		}
	}
	q.conn.SetReadDeadline(time.Time{})
	b = beginning{protocol: protocol, first: bytes.Clone(first)}
	if t.probes != nil && protocol != http.HTTP1 && protocol != http.HTTP2 {
		o := classify(q.conn, t.probes.From(q.source.Addr()), buf[:], first, over)
		b.first, b.probe = bytes.Clone(o.first), o.probe
	}
	return b, false, nil
}
