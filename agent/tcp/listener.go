// Package tcp accepts the TCP connections that reach the agent for one port of the
// application. It tracks them so that it can reset them.
package tcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/capture"
	"github.com/kubectl-intercept/kubectl-intercept/agent/forward"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
)

const (
	// acceptPause is how long the Listener waits after an error of accept: it means
	// that the process is out of file descriptors or memory.
	acceptPause = 50 * time.Millisecond
	// lastResets is how long Close waits for connections that it has reset.
	lastResets = 2 * time.Second
)

// Config says how the connections of callers reach a Listener.
type Config struct {
	// At is the port to listen on. With 0 the kernel chooses one.
	At uint16
	// Dialed returns the address and port of the application that the caller dialed.
	// It returns false if the caller dialed the agent's own port: the Listener resets
	// such a connection.
	Dialed func(*net.TCPConn) (netip.AddrPort, bool)
	// Settle is how long Close still accepts connections, so that handshakes under
	// way can complete.
	Settle time.Duration
}

// Listener serves the connections to one port of the application.
type Listener struct {
	to   *forward.Port
	cfg  Config
	log  *slog.Logger
	book capture.ProofBook
	ln   *net.TCPListener

	mu    sync.Mutex
	flows map[forward.Flow]struct{}
	over  bool // new flows are reset at once

	live    sync.WaitGroup // connections being served
	serving sync.WaitGroup // the accept loop
}

// Listen starts to accept connections.
func Listen(ctx context.Context, cfg Config, to *forward.Port, log *slog.Logger) (*Listener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // a Multipath TCP socket does not tell the original destination
	ln, err := lc.Listen(ctx, "tcp", fmt.Sprintf(":%d", cfg.At))
	if err != nil {
		return nil, fmt.Errorf("listen for port %d: %w", to.Number(), err)
	}
	l := &Listener{
		to: to, cfg: cfg, log: log.With("port", to.Number(), "protocol", "TCP"),
		ln: ln.(*net.TCPListener), flows: map[forward.Flow]struct{}{},
	}
	l.serving.Go(l.accept)
	return l, nil
}

// Agent returns the port that the Listener listens on. A redirect must bring callers
// there.
func (l *Listener) Agent() uint16 { return l.ln.Addr().(*net.TCPAddr).AddrPort().Port() }

// Book returns the record of the agent's own test connections to this Listener.
func (l *Listener) Book() *capture.ProofBook { return &l.book }

// Route replaces the routes of the port by those of c; nil sends everything to the
// application. Connections to the application go on, and so do those to an owner that
// still has a route. Route resets all others, so that their callers connect again. It
// returns until when callers are told of routes that are gone. It is not safe for
// concurrent use.
func (l *Listener) Route(c *rpc.CapturePort) (noticed time.Time) {
	l.to.Set(c)
	l.reset(forward.Flow.Stale)
	return l.to.Noticed()
}

// Report writes the counters of a route into the route's report.
func (l *Listener) Report(r *rpc.RouteReport) { l.to.Report(r) }

// Leave removes all routes, so that everything goes to the application.
func (l *Listener) Leave() { l.Route(nil) }

// EndApplication resets the connections to the application, so that their callers
// connect again.
func (l *Listener) EndApplication() { l.reset(func(f forward.Flow) bool { return !f.Routed() }) }

// Close stops accepting and waits until every connection has ended. When ctx ends, it
// resets the connections that are left.
func (l *Listener) Close(ctx context.Context) {
	t := time.NewTimer(l.cfg.Settle)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	l.ln.Close()
	l.serving.Wait()
	idle := make(chan struct{})
	go func() { l.live.Wait(); close(idle) }()
	select {
	case <-idle:
		return
	case <-ctx.Done():
	}
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	l.reset(func(forward.Flow) bool { return true })
	t.Reset(lastResets)
	select {
	case <-idle:
	case <-t.C:
	}
}

func (l *Listener) accept() {
	for {
		c, err := l.ln.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			l.log.Warn("cannot accept", "error", err)
			time.Sleep(acceptPause)
			continue
		}
		l.live.Go(func() { l.serve(c) })
	}
}

// serve serves one connection until its end.
func (l *Listener) serve(c *net.TCPConn) {
	source := capture.Unmap(c.RemoteAddr().(*net.TCPAddr).AddrPort())
	if nonce, ok := l.book.Answer(source); ok {
		c.Write(nonce) // on an error, the agent's test fails
		c.Close()
		return
	}
	dialed, ok := l.cfg.Dialed(c)
	if !ok {
		tunnel.NewTCP(c).Reset()
		return
	}
	f := l.to.Connect(c, source, dialed)
	if f == nil {
		tunnel.NewTCP(c).Reset()
		return
	}
	if !l.track(f) {
		f.Reset()
		return
	}
	defer l.untrack(f)
	if err := f.Serve(); err != nil {
		l.log.Debug("connection broke", "source", source, "error", err)
	}
}

// track adds a flow to those that reset can reach. It returns false if the caller
// must reset the flow at once.
func (l *Listener) track(f forward.Flow) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || f.Stale() {
		return false
	}
	l.flows[f] = struct{}{}
	return true
}

func (l *Listener) untrack(f forward.Flow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.flows, f)
}

func (l *Listener) reset(which func(forward.Flow) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for f := range l.flows {
		if which(f) {
			f.Reset()
		}
	}
}
