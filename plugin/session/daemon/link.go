package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/mux"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/standin"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

const (
	// carriers is the number of carriers. More carriers were not faster.
	carriers = 4
	// windowBudget is how many bytes the flow-control windows of all flows together may
	// grow beyond their initial sizes. It bounds the memory of flows whose programs stop
	// reading. It is twice the bandwidth-delay product of a fast connection with 20 ms.
	windowBudget = 24 << 20
	// refusedTimeout is how long a traffic-manager may refuse a new session. It refuses the
	// session until it has seen the Session object.
	refusedTimeout = 15 * time.Second
)

// link is the connection to the traffic-manager through which flows arrive. It is safe for
// concurrent use.
type link struct {
	settings

	started  time.Time
	life     *lifetime
	record   *stateFile
	renewal  *renewal
	identity *handshake.Identity
	dial     func(context.Context) (net.Conn, string, error)
	direct   *carrier.Direct
	ladder   *carrier.Ladder // nil unless the transport is chosen automatically
	pool     *carrier.Pool
	lines    *carrier.Lines
	hello    handshake.Hello
	drop     func() // drops connections that lines use

	mu        sync.Mutex
	connected bool  // whether a carrier was ever up
	fatal     error // why no carrier can ever be up
}

// newLink makes the carriers and the lines, and does not start them.
func (p *process) newLink(ctx context.Context, c client.Reader, hello handshake.Hello, handle tunnel.Handler, pods *standin.Lines) (*link, error) {
	s := p.record.State()
	l := &link{settings: p.settings, started: p.started, life: p.life, record: p.record, renewal: p.renewal, identity: s.Identity(), hello: hello}
	if err := l.newDialer(ctx, c); err != nil {
		return nil, err
	}
	budget := mux.NewBudget(windowBudget)
	serve := func(ctx context.Context, conn net.Conn) error { return mux.Serve(ctx, conn, budget, handle) }
	l.pool = carrier.NewPool(carrier.Config{Size: carriers, Dial: l.dial, Hello: hello, Log: l.log, Serve: serve,
		Connected: l.up, Failed: l.failed, Outdated: l.outdated})
	if err := l.addLines(c, &hello, handle, pods); err != nil {
		return nil, err
	}
	if l.ladder != nil {
		go l.ladder.Run(ctx)
	}
	return l, nil
}

// newDialer makes what dials carriers.
func (l *link) newDialer(ctx context.Context, c client.Reader) error {
	trust := carrier.NewTrust(c, l.id.ManagerNamespace)
	go trust.Prefetch(ctx)
	l.direct = carrier.NewDirect(l.source, l.identity, trust)
	if l.transport == carrier.ViaDirect {
		l.dial = carrier.NewDialer(l.direct).Dial
		return nil
	}
	var transports []carrier.Transport
	add := func(t carrier.Transport) { transports = append(transports, carrier.Secure(t, l.identity, trust)) }
	if l.transport != carrier.ViaPortForward {
		t, err := carrier.NewServiceProxy(l.source, l.id.ManagerNamespace)
		if err != nil {
			return err
		}
		add(t)
	}
	if l.transport != carrier.ViaService {
		add(carrier.NewPortForward(l.source, c, l.id.ManagerNamespace))
	}
	dialer := carrier.NewDialer(transports...)
	if s := l.record.State(); s.Transport != "" {
		dialer.Prefer(s.Transport, s.TransportTime.Add(carrier.ForgetAfter))
	}
	if l.dial = dialer.Dial; l.transport == carrier.Auto {
		l.ladder = carrier.NewLadder(carrier.LadderConfig{Direct: l.direct, Reread: trust.Refresh, Below: dialer.Dial,
			Failed:   func(network string) bool { s := l.record.State(); return s.NotDirect.Has(network) },
			Remember: l.remember, Moved: l.moved, Log: l.log})
		l.dial = l.ladder.Dial
	}
	return nil
}

// remember keeps for the next process whether the direct way failed in a network.
func (l *link) remember(network string, failed bool) {
	l.record.Change(func(s *state.State) { s.NotDirect = s.NotDirect.With(network, failed, time.Now()) })
}

// outdated says whether there is a better transport than that of a carrier.
func (l *link) outdated(transport string) bool {
	return l.ladder != nil && transport != carrier.ViaDirect && l.ladder.Good()
}

// moved has lines begin again that no agent has: the direct way works.
func (l *link) moved() {
	if l.lines != nil {
		l.lines.Move(func(c net.Conn) bool { return !carrier.IsDirect(c) })
	}
}

// addLines makes the lines. They go the way of the carriers.
func (l *link) addLines(c client.Reader, hello *handshake.Hello, handle tunnel.Handler, pods *standin.Lines) error {
	proxy, err := carrier.NewLineProxy(l.source, l.id.ManagerNamespace)
	if err != nil {
		return err
	}
	l.drop = func() { proxy.Drop(); l.direct.Drop() }
	forward := carrier.NewLineForward(l.source, c, l.id.ManagerNamespace, func() string { return l.pool.State().Relay })
	below := func(ctx context.Context) (net.Conn, string, error) {
		if l.pool.State().Transport == carrier.ViaPortForward {
			conn, err := forward.Dial(ctx)
			return conn, carrier.ViaPortForward, err
		}
		conn, err := proxy.Dial(ctx)
		return conn, carrier.ViaService, err
	}
	dial := func(ctx context.Context) (conn net.Conn, err error) {
		switch {
		case l.ladder != nil:
			conn, _, err = l.ladder.Race(ctx, l.direct.DialLine, below)
		case l.transport == carrier.ViaDirect:
			conn, err = l.direct.DialLine(ctx)
		default:
			conn, _, err = below(ctx)
		}
		return conn, err
	}
	l.lines, err = carrier.NewLines(carrier.LinesConfig{Dial: dial, Identity: l.identity, Hello: *hello,
		Handler: handle, FromSession: pods.Offer, Log: l.log,
		Up: func() bool { return l.pool.State().Carriers > 0 }})
	return err
}

// up records the transport of a carrier that is up.
func (l *link) up(transport string) {
	l.source.Accepted()
	l.mu.Lock()
	first := !l.connected
	l.connected = true
	l.mu.Unlock()
	if first {
		go trim()
	}
	l.lines.Retry()
	if s := l.record.State(); l.transport != carrier.Auto || transport == carrier.ViaDirect || s.Transport == transport && time.Since(s.TransportTime) < carrier.ForgetAfter {
		return
	}
	l.record.Change(func(s *state.State) { s.Transport, s.TransportTime = transport, time.Now() })
}

// failed ends a process that was never connected if err means that it never will be.
func (l *link) failed(err error) {
	var refused *carrier.RefusedError
	if errors.As(err, &refused) && refused.Renew {
		l.renewal.ask()
	}
	l.mu.Lock()
	final := !l.connected && (carrier.NoneIsPossible(err) || errors.As(err, &refused) && time.Since(l.started) > refusedTimeout)
	if final && l.fatal == nil {
		l.fatal = l.explain(err)
	}
	l.mu.Unlock()
	if final {
		l.life.end(endFailed)
	}
}

// failure returns the reason why the process can never connect.
func (l *link) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}

// was says that the process has been connected.
func (l *link) was() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.connected
}

// woke handles that the machine has slept for the duration gap.
func (l *link) woke(gap time.Duration) {
	l.pool.Woke(gap)
	if gap > carrier.LongSleep {
		l.redialLines()
	}
}

// redial closes every connection and dials again.
func (l *link) redial() {
	if l.ladder != nil {
		l.ladder.Retry()
	}
	l.pool.Renew()
	l.redialLines()
}

func (l *link) redialLines() {
	l.lines.Renew()
	l.drop()
}

// retry dials at once where a connection waits for its next attempt.
func (l *link) retry() {
	if l.ladder != nil {
		l.ladder.Retry()
	}
	l.pool.Retry()
	l.lines.Retry()
}

// explain replaces the error of a carrier by one that tells the user what to do, if there
// is one.
func (s *settings) explain(err error) error {
	if carrier.NoneIsPossible(err) && (errors.Is(err, carrier.ErrNoManager) || apierrors.IsNotFound(err)) {
		return &target.NotInstalledError{Namespace: s.id.ManagerNamespace}
	}
	if s.transport != carrier.Auto && carrier.IsNotPossible(err) && !apierrors.IsForbidden(err) {
		return fmt.Errorf("%w (another --transport may work)", err)
	}
	return carrier.Explain(err)
}
