// Package tcp serves the TCP connections of one port of the application, which
// were led to the agent: to the laptop where it takes them, else to the
// application.
package tcp

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
	"github.com/kubectl-intercept/kubectl-intercept/agent/relay"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
)

// acceptPause is the wait after a failed accept, which means that descriptors or
// memory ran out.
const acceptPause = 50 * time.Millisecond

// Config is what a Listener needs to know of the way that callers come.
type Config struct {
	// Port is the application's number.
	Port uint16
	// At is the agent's port; 0 takes any.
	At uint16
	// Dialled is where a caller meant to come to, the application's address and
	// number. It is false for who found the agent's port by itself, where nobody is
	// served.
	Dialled func(*net.TCPConn) (netip.AddrPort, bool)
	// Dial reaches the application there.
	Dial func(context.Context, netip.AddrPort) (*net.TCPConn, error)
	// Settle is how long Close goes on accepting: connections whose handshake was
	// under way still come.
	Settle time.Duration
}

// target is where new connections go, and who counts them.
type target struct {
	route    *relay.Route // nil: the application
	counters *relay.Counters
	ctx      context.Context // ends when the route's owner leaves
	cancel   context.CancelFunc
}

// Listener takes the connections of one port. It can reset all that it has
// passed on.
type Listener struct {
	cfg    Config
	opener *relay.Opener
	log    *slog.Logger
	book   capture.ProbeBook
	ln     *net.TCPListener
	ctx    context.Context
	target atomic.Pointer[target]

	mu    sync.Mutex
	flows map[*flow]struct{}
	over  bool // no more flows

	live    sync.WaitGroup // connections being served
	serving sync.WaitGroup // the accept loop
	firsts  sync.Pool
}

// flow is a live connection of a caller.
type flow struct {
	caller, other tunnel.Stream
	route         *relay.Route // nil: the application has it
	count         func(in, out int)
}

// Listen begins to take connections. Until a route is set they go to the
// application.
func Listen(ctx context.Context, cfg Config, opener *relay.Opener, log *slog.Logger) (*Listener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // such a socket does not tell the original destination
	ln, err := lc.Listen(ctx, "tcp", fmt.Sprintf(":%d", cfg.At))
	if err != nil {
		return nil, fmt.Errorf("listen for port %d: %w", cfg.Port, err)
	}
	l := &Listener{
		cfg: cfg, opener: opener, log: log.With("port", cfg.Port, "protocol", "TCP"),
		ln: ln.(*net.TCPListener), ctx: ctx, flows: map[*flow]struct{}{},
	}
	l.firsts.New = func() any { return new([maxFirst]byte) }
	l.target.Store(&target{cancel: func() {}})
	l.serving.Go(l.accept)
	return l, nil
}

// Port is the port that callers must be led to.
func (l *Listener) Port() uint16 { return l.ln.Addr().(*net.TCPAddr).AddrPort().Port() }

// Book is where probes of this listener are noted.
func (l *Listener) Book() *capture.ProbeBook { return &l.book }

// Route sets where connections go from now on, nil to the application. Those of
// the same owner that are live go on, and so do the application's; others that
// the laptop has are reset, so that their callers come anew. It is not safe for
// concurrent use.
func (l *Listener) Route(r *relay.Route, c *relay.Counters) {
	old, now := l.target.Load(), &target{route: r, counters: c}
	if r.SameOwner(old.route) {
		now.ctx, now.cancel = old.ctx, old.cancel
		l.target.Store(now)
		return
	}
	now.ctx, now.cancel = context.WithCancel(l.ctx)
	l.target.Store(now)
	old.cancel()
	l.reset(func(f *flow) bool { return f.route != nil && !f.route.SameOwner(r) })
}

// Leave gives everything back to the application.
func (l *Listener) Leave() { l.Route(nil, nil) }

// EndApplication resets the connections that the application has, so that their
// callers come anew.
func (l *Listener) EndApplication() { l.reset(func(f *flow) bool { return f.route == nil }) }

// lastResets is how long Close waits for connections that it has reset.
const lastResets = 2 * time.Second

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
	l.reset(func(*flow) bool { return true })
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

// adopt books a flow; false when its owner has left meanwhile.
func (l *Listener) adopt(f *flow) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || f.route != nil && !f.route.SameOwner(l.target.Load().route) {
		return false
	}
	l.flows[f] = struct{}{}
	return true
}

func (l *Listener) release(f *flow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.flows, f)
}

func (l *Listener) reset(which func(*flow) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for f := range l.flows {
		if which(f) {
			f.caller.Reset()
			f.other.Reset()
		}
	}
}
