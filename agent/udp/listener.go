// Package udp receives the datagrams that reach the agent for one port of the
// application. The datagrams of one source form a flow, and the routes of the port
// decide where it goes.
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
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/capture"
	"github.com/kubectl-intercept/kubectl-intercept/agent/forward"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/datagram"
)

const (
	// maxFlows is how many flows are served at once. A flow beyond that ends one of
	// compared random flows: the one that has been idle the longest.
	maxFlows = 4096
	compared = 32
	// queue bounds the datagrams that wait in one flow.
	queue = 64
	// maxQueued bounds the bytes that wait for all flows together.
	maxQueued = 4 << 20
)

// Config says how datagrams reach a Listener, and how the Listener reaches the
// application.
type Config struct {
	// At is the port to listen on. With 0 the kernel chooses one.
	At uint16
	// Pod has the pod's addresses, at which the application may listen.
	Pod []netip.Addr
	// Dial returns a socket that is connected to the application.
	Dial func(ctx context.Context, pod []netip.Addr, caller netip.Addr, port uint16) (*net.UDPConn, error)
}

// Listener serves the datagrams to one port of the application.
type Listener struct {
	to   *forward.Port
	cfg  Config
	log  *slog.Logger
	book capture.ProofBook
	conn *net.UDPConn
	ctx  context.Context
	stop context.CancelFunc

	mu    sync.Mutex
	flows map[key]*flow
	wg    sync.WaitGroup

	queued  atomic.Int64 // bytes waiting in flows
	buffers sync.Pool    // *[]byte of datagram.Max
}

// key is a flow's source, and the address that its datagrams arrived at. Answers must
// be sent from that address, or the kernel does not translate them back.
type key struct {
	source netip.AddrPort
	local  netip.Addr
}

// Listen starts to receive datagrams.
func Listen(ctx context.Context, cfg Config, to *forward.Port, log *slog.Logger) (*Listener, error) {
	lc := net.ListenConfig{Control: tellLocalAddress}
	c, err := lc.ListenPacket(ctx, "udp", fmt.Sprintf(":%d", cfg.At))
	if err != nil {
		return nil, fmt.Errorf("listen for port %d: %w", to.Number(), err)
	}
	l := &Listener{
		to: to, cfg: cfg, log: log.With("port", to.Number(), "protocol", "UDP"),
		conn: c.(*net.UDPConn), flows: map[key]*flow{},
	}
	l.buffers.New = func() any { b := make([]byte, datagram.Max); return &b }
	l.ctx, l.stop = context.WithCancel(ctx)
	l.wg.Go(l.read)
	return l, nil
}

// Agent returns the port that the Listener listens on. A redirect must bring
// datagrams there.
func (l *Listener) Agent() uint16 { return l.conn.LocalAddr().(*net.UDPAddr).AddrPort().Port() }

// Book returns the record of the agent's own test datagrams to this Listener.
func (l *Listener) Book() *capture.ProofBook { return &l.book }

// Route replaces the routes of the port by those of c; nil sends everything to the
// application. It ends the flows to an owner that has no route any more, and the
// flows to the application that a laptop can take now. Nobody is told of routes that
// are gone.
func (l *Listener) Route(c *rpc.CapturePort) (noticed time.Time) {
	anew := l.to.Set(c)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.flows {
		if anew(f.route) {
			f.end()
		}
	}
	return time.Time{}
}

// Report writes the counters of a route into the route's report.
func (l *Listener) Report(r *rpc.RouteReport) { l.to.Report(r) }

// Leave stops receiving and ends all flows. Datagrams under way are lost, as may
// happen with UDP.
func (l *Listener) Leave() {
	l.to.Set(nil)
	l.stop()
	l.conn.Close()
}

// Close waits until the Listener has stopped. Leave must be called before.
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
			continue // an ICMP error for an earlier datagram
		}
		k := key{capture.Unmap(source), localAddress(oob[:m])}
		if nonce, ok := l.book.Answer(k.source); ok {
			l.send(k, nonce)
			continue
		}
		l.deliver(k, append([]byte(nil), buf[:n]...))
	}
}

// deliver queues a datagram for its flow, which it starts if the flow is new. It
// drops the datagram if a queue is full.
func (l *Listener) deliver(k key, p []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.flows[k]
	if f == nil {
		if len(l.flows) >= maxFlows {
			l.endQuietest()
		}
		f = newFlow(l.ctx, k, l.to.Pick())
		l.flows[k] = f
		if f.route != nil {
			f.route.Arrived()
		}
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

// endQuietest makes room for a flow. It compares some flows and ends the one that has
// been idle the longest. The caller holds l.mu.
func (l *Listener) endQuietest() {
	var quietest *flow
	n := 0
	for _, f := range l.flows { // in random order
		if quietest == nil || f.last.Load() < quietest.last.Load() {
			quietest = f
		}
		if n++; n == compared {
			break
		}
	}
	quietest.end()
	delete(l.flows, quietest.key)
}

// forget removes a flow that has ended.
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

// send sends a datagram to a flow's source, from the address that the source sent to.
func (l *Listener) send(k key, p []byte) {
	dual := l.conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Is6()
	_, _, err := l.conn.WriteMsgUDPAddrPort(p, fromAddress(k.local), mapped(k.source, dual))
	if err != nil {
		l.log.Debug("answer was not sent", "source", k.source, "error", err)
	}
}
