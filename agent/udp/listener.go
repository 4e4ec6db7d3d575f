// Package udp receives the datagrams for one port of the application that reach the
// agent. Datagrams of one source are a flow, which goes where the port's routes say.
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

	"github.com/kubectl-intercept/kubectl-intercept/agent/capture"
	"github.com/kubectl-intercept/kubectl-intercept/agent/forward"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/datagram"
)

const (
	// maxFlows bounds the sources that are served at once. One more ends the
	// quietest of as many flows as compared says.
	maxFlows = 4096
	compared = 32
	// queue bounds the datagrams that wait in one flow.
	queue = 64
	// maxQueued bounds the bytes that wait for all flows together.
	maxQueued = 4 << 20
)

// Config is how datagrams reach a Listener, and the application from there.
type Config struct {
	// At is the agent's port; 0 takes any.
	At uint16
	// Pod are the pod's addresses, at which the application is looked for.
	Pod []netip.Addr
	// Dial makes a socket connected to the application.
	Dial func(ctx context.Context, pod []netip.Addr, caller netip.Addr, port uint16) (*net.UDPConn, error)
}

// Listener takes the datagrams of one port.
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

// Listen begins to take datagrams.
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

// Agent is the agent's port, which datagrams must be brought to.
func (l *Listener) Agent() uint16 { return l.conn.LocalAddr().(*net.UDPAddr).AddrPort().Port() }

// Book is where the agent's own test datagrams to this listener are noted.
func (l *Listener) Book() *capture.ProofBook { return &l.book }

// Route makes the routes those of c; nil gives everything to the application.
// Flows end whose owner has no route any more, and those that the application has
// although a laptop may have them now.
func (l *Listener) Route(c *rpc.CapturePort) {
	anew := l.to.Set(c)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.flows {
		if anew(f.route) {
			f.end()
		}
	}
}

// Report puts the counts of a route into its report.
func (l *Listener) Report(r *rpc.RouteReport) { l.to.Report(r) }

// Leave stops receiving and ends all flows. Datagrams under way are lost, as may
// happen with UDP.
func (l *Listener) Leave() {
	l.to.Set(nil)
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

// endQuietest makes room for a flow; l.mu is held.
func (l *Listener) endQuietest() {
	var quietest *flow
	n := 0
	for _, f := range l.flows { // in no order
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

// send answers a source from the address it wrote to.
func (l *Listener) send(k key, p []byte) {
	dual := l.conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Is6()
	_, _, err := l.conn.WriteMsgUDPAddrPort(p, fromAddress(k.local), mapped(k.source, dual))
	if err != nil {
		l.log.Debug("answer was not sent", "source", k.source, "error", err)
	}
}
