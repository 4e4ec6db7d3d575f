// Package udp serves the redirected datagrams of one captured port. Datagrams of
// one source are a flow: it goes to the laptop where that takes it, else to the
// application.
package udp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/kubectl-intercept/kubectl-intercept/agent/app"
	"github.com/kubectl-intercept/kubectl-intercept/agent/capture"
	"github.com/kubectl-intercept/kubectl-intercept/agent/relay"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/datagram"
)

const (
	// maxFlows bounds the sources that are served at once. One more ends a flow
	// that has been quiet for long: the quietest of so many that are looked at.
	maxFlows = 4096
	looked   = 32
	// queue bounds the datagrams that wait for one flow.
	queue = 64
	// maxQueued bounds the bytes that wait for all flows together.
	maxQueued = 4 << 20
)

// target is where new flows go, and who counts them.
type target struct {
	route    *relay.Route // nil: the application, where that is possible
	counters *relay.Counters
}

// Listener takes the datagrams of one port.
type Listener struct {
	port   uint16
	pod    []netip.Addr
	opener *relay.Opener
	log    *slog.Logger
	book   capture.ProbeBook
	conn   *net.UDPConn
	target atomic.Pointer[target]
	ctx    context.Context
	stop   context.CancelFunc

	mu    sync.Mutex
	flows map[key]*flow
	wg    sync.WaitGroup

	idles bool // there is somebody to serve without a route
	dial  dial // to the application

	queued  atomic.Int64 // bytes waiting in flows
	buffers sync.Pool    // *[]byte of datagram.Max
}

// key is a flow's source and the address its datagrams arrived at, which the
// answers must come from for the redirect to be undone on them.
type key struct {
	source netip.AddrPort
	local  netip.Addr
}

// Listen begins to take datagrams that were sent to port. Pod are the pod's
// addresses, where the application is looked for.
func Listen(ctx context.Context, port uint16, pod []netip.Addr, opener *relay.Opener, log *slog.Logger) (*Listener, error) {
	l, err := listen(ctx, port, 0, pod, opener, log)
	if err == nil {
		l.wg.Go(l.read)
	}
	return l, err
}

// ListenSidecar is Listen without privilege, at a port that was agreed upon when
// the pod was made. Without a route the application is served.
func ListenSidecar(ctx context.Context, port, at uint16, pod []netip.Addr, opener *relay.Opener, log *slog.Logger) (*Listener, error) {
	l, err := listen(ctx, port, at, pod, opener, log)
	if err != nil {
		return nil, err
	}
	l.idles, l.dial = true, app.DialUDPPlain
	l.wg.Go(l.read)
	return l, nil
}

func listen(ctx context.Context, port, at uint16, pod []netip.Addr, opener *relay.Opener, log *slog.Logger) (*Listener, error) {
	lc := net.ListenConfig{Control: tellLocalAddress}
	c, err := lc.ListenPacket(ctx, "udp", fmt.Sprintf(":%d", at))
	if err != nil {
		return nil, fmt.Errorf("listen for port %d: %w", port, err)
	}
	l := &Listener{
		port: port, pod: pod, opener: opener, log: log.With("port", port, "protocol", "UDP"),
		conn: c.(*net.UDPConn), flows: map[key]*flow{}, dial: app.DialUDP,
	}
	l.buffers.New = func() any { b := make([]byte, datagram.Max); return &b }
	l.target.Store(&target{counters: &relay.Counters{}})
	l.ctx, l.stop = context.WithCancel(ctx)
	return l, nil
}

// Port is the port that the redirect must lead to.
func (l *Listener) Port() uint16 { return l.conn.LocalAddr().(*net.UDPAddr).AddrPort().Port() }

// Book is where probes of this listener are noted.
func (l *Listener) Book() *capture.ProbeBook { return &l.book }

// dial makes a socket connected to the application.
type dial func(ctx context.Context, pod []netip.Addr, caller netip.Addr, port uint16) (*net.UDPConn, error)

// Route sets where flows go from now on; nil, for listeners of ListenSidecar, is
// the application. Those of another owner end, and so do
// those that the application has if the laptop may be reached now.
func (l *Listener) Route(r *relay.Route, c *relay.Counters) {
	old := l.target.Swap(&target{r, c})
	back := r != nil && len(r.Relays) > 0 && (old.route == nil || len(old.route.Relays) == 0)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.flows {
		if back || !f.target.route.SameOwner(r) {
			f.end()
		}
	}
}

// Leave ends all flows. What is under way is lost, as with UDP it may be.
func (l *Listener) Leave() {
	l.stop()
	l.conn.Close()
}

// Close waits until Leave is done.
func (l *Listener) Close(context.Context) { l.wg.Wait() }

func (l *Listener) read() {
	buf := make([]byte, datagram.Max)
	oob := make([]byte, 128)
	for {
		n, m, _, source, err := l.conn.ReadMsgUDPAddrPort(buf, oob)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an error that an earlier datagram met
		}
		k := key{capture.Unmap(source), localAddress(oob[:m])}
		if nonce, ok := l.book.Answer(k.source); ok {
			l.send(k, nonce)
			continue
		}
		l.deliver(k, append([]byte(nil), buf[:n]...))
	}
}

// deliver queues a datagram for its flow, and begins the flow where it is new.
func (l *Listener) deliver(k key, p []byte) {
	t := l.target.Load()
	if t.route == nil && !l.idles {
		return // Route comes before the redirect
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.flows[k]
	if f == nil {
		if len(l.flows) >= maxFlows {
			l.endQuietest()
		}
		f = newFlow(l.ctx, k, t)
		l.flows[k] = f
		t.counters.Arrived()
		l.wg.Go(func() { l.serve(f) })
	}
	if l.queued.Add(int64(len(p))) <= maxQueued {
		select {
		case f.in <- p:
			return
		default:
		}
	}
	l.queued.Add(-int64(len(p)))
}

// endQuietest makes room for a flow; l.mu is held.
func (l *Listener) endQuietest() {
	var quietest *flow
	n := 0
	for _, f := range l.flows { // in no order
		if quietest == nil || f.last.Load() < quietest.last.Load() {
			quietest = f
		}
		if n++; n == looked {
			break
		}
	}
	quietest.end()
	delete(l.flows, quietest.key)
}

// forget removes an ended flow.
func (l *Listener) forget(f *flow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.flows[f.key] == f {
		delete(l.flows, f.key)
	}
	for range len(f.in) {
		l.queued.Add(-int64(len(<-f.in)))
	}
}

// send answers a source from the address it wrote to.
func (l *Listener) send(k key, p []byte) {
	dual := l.conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Is6()
	_, _, err := l.conn.WriteMsgUDPAddrPort(p, fromAddress(k.local), mapped(k.source, dual))
	if err != nil {
		l.log.Debug("answer was not sent", "source", k.source, "error", err)
	}
}
