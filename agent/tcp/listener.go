// Package tcp accepts the TCP connections for one port of the application that reach
// the agent, and keeps track of them, so that it can reset them.
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
	// acceptPause is the wait after a failed accept, which means that descriptors
	// or memory ran out.
	acceptPause = 50 * time.Millisecond
	// lastResets is how long Close waits for connections that it has reset.
	lastResets = 2 * time.Second
)

// Config is how callers reach a Listener.
type Config struct {
	// At is the agent's port; 0 takes any.
	At uint16
	// Dialed is where a caller meant to connect to, the application's address and
	// number. It is false for a caller that dialed the agent's port itself, which is
	// not served.
	Dialed func(*net.TCPConn) (netip.AddrPort, bool)
	// Settle is how long Close goes on accepting, for connections whose handshake
	// is under way.
	Settle time.Duration
}

// Listener takes the connections of one port.
type Listener struct {
	to   *forward.Port
	cfg  Config
	log  *slog.Logger
	book capture.ProofBook
	ln   *net.TCPListener

	mu    sync.Mutex
	flows map[*forward.Flow]struct{}
	over  bool // no more flows

	live    sync.WaitGroup // connections being served
	serving sync.WaitGroup // the accept loop
}

// Listen begins to take connections.
func Listen(ctx context.Context, cfg Config, to *forward.Port, log *slog.Logger) (*Listener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // such a socket does not tell the original destination
	ln, err := lc.Listen(ctx, "tcp", fmt.Sprintf(":%d", cfg.At))
	if err != nil {
		return nil, fmt.Errorf("listen for port %d: %w", to.Number(), err)
	}
	l := &Listener{
		to: to, cfg: cfg, log: log.With("port", to.Number(), "protocol", "TCP"),
		ln: ln.(*net.TCPListener), flows: map[*forward.Flow]struct{}{},
	}
	l.serving.Go(l.accept)
	return l, nil
}

// Agent is the agent's port, which callers must be brought to.
func (l *Listener) Agent() uint16 { return l.ln.Addr().(*net.TCPAddr).AddrPort().Port() }

// Book is where the agent's own test connections to this listener are noted.
func (l *Listener) Book() *capture.ProofBook { return &l.book }

// Route makes the routes those of c; nil gives everything to the application.
// Connections go on whose owner still has a route, and so do the application's.
// All others are reset, so that their callers connect anew. It is not safe for
// concurrent use.
func (l *Listener) Route(c *rpc.CapturePort) {
	l.to.Set(c)
	l.reset((*forward.Flow).Left)
}

// Report puts the counts of a route into its report.
func (l *Listener) Report(r *rpc.RouteReport) { l.to.Report(r) }

// Leave gives everything back to the application.
func (l *Listener) Leave() { l.Route(nil) }

// EndApplication resets the connections that the application has, so that their
// callers connect anew.
func (l *Listener) EndApplication() { l.reset(func(f *forward.Flow) bool { return !f.Routed() }) }

// Close stops accepting, and waits until no connection is left. Those that are
// left when ctx ends are reset.
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
	l.reset(func(*forward.Flow) bool { return true })
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
		c.Write(nonce) // the prober sees what goes wrong
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
	if err := f.Pipe(); err != nil {
		l.log.Debug("connection broke", "source", source, "error", err)
	}
}

// track keeps a flow in mind; false if it is to be reset at once.
func (l *Listener) track(f *forward.Flow) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || f.Left() {
		return false
	}
	l.flows[f] = struct{}{}
	return true
}

func (l *Listener) untrack(f *forward.Flow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.flows, f)
}

func (l *Listener) reset(which func(*forward.Flow) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for f := range l.flows {
		if which(f) {
			f.Reset()
		}
	}
}
