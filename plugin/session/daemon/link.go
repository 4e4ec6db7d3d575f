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
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

const (
	// carriers is how many carriers a session has. More brought no gain.
	carriers = 4
	// windowBudget is by how many bytes the windows of all flows together may grow.
	// Programs that stop reading can hold that much memory on top of their initial
	// windows. It is twice the bandwidth-delay product of a fast network with a round
	// trip of 20 ms.
	windowBudget = 24 << 20
	// refusedTimeout is how long a traffic-manager may refuse a new session. It
	// refuses while it does not know of the Session object yet.
	refusedTimeout = 15 * time.Second
)

// link is the connection to the traffic-manager through which flows arrive. It is
// safe for concurrent use.
type link struct {
	settings

	started time.Time
	life    *lifetime
	record  *stateFile
	dial    func(context.Context) (net.Conn, string, error)
	pool    *carrier.Pool
	lines   *carrier.Lines // nil where the transport has none
	drop    func()         // drops connections that lines use

	mu        sync.Mutex
	connected bool  // the process has been connected before
	fatal     error // why the process can never connect
}

// newLink makes the carriers and the lines, but does not start them.
func (p *process) newLink(c client.Reader, hello handshake.Hello, handle tunnel.Handler) (*link, error) {
	l := &link{settings: p.settings, started: p.started, life: p.life, record: p.record}
	ladder, err := l.ladder(c)
	if err != nil {
		return nil, err
	}
	l.dial = ladder.Dial
	budget := mux.NewBudget(windowBudget)
	serve := func(ctx context.Context, conn net.Conn) error { return mux.Serve(ctx, conn, budget, handle) }
	l.pool = carrier.NewPool(carrier.Config{Size: carriers, Dial: l.dial, Hello: hello, Log: l.log, Serve: serve,
		Connected: l.up, Failed: l.failed})
	if l.transport == carrier.ViaPortForward {
		return l, nil
	}
	return l, l.addLines(&hello, handle)
}

func (l *link) ladder(c client.Reader) (*carrier.Ladder, error) {
	var ways []carrier.Transport
	if l.transport != carrier.ViaPortForward {
		t, err := carrier.NewServiceProxy(l.source, l.id.ManagerNamespace)
		if err != nil {
			return nil, err
		}
		ways = append(ways, t)
	}
	if l.transport != carrier.ViaService {
		ways = append(ways, carrier.NewPortForward(l.source, c, l.id.ManagerNamespace))
	}
	ladder := carrier.NewLadder(ways...)
	if s := l.record.State(); s.Transport != "" {
		ladder.Prefer(s.Transport, s.TransportTime.Add(carrier.ForgetAfter))
	}
	return ladder, nil
}

func (l *link) addLines(hello *handshake.Hello, handle tunnel.Handler) error {
	keys, err := handshake.NewKeys(hello.Token)
	if err != nil {
		return err
	}
	proxy, err := carrier.NewLineProxy(l.source, l.id.ManagerNamespace)
	if err != nil {
		return err
	}
	l.drop = proxy.Drop
	l.lines, err = carrier.NewLines(carrier.LinesConfig{Dial: proxy.Dial, Keys: keys, Session: hello.Session,
		Generation: hello.Generation, Handler: handle, Log: l.log,
		Up: func() bool { s := l.pool.State(); return s.Carriers > 0 && s.Transport == carrier.ViaService }})
	return err
}

// up handles a carrier that has connected: it records the carrier's transport and
// retries the lines.
func (l *link) up(transport string) {
	l.source.Accepted()
	l.mu.Lock()
	first := !l.connected
	l.connected = true
	l.mu.Unlock()
	if first {
		go trim()
	}
	if l.lines != nil {
		l.lines.Retry()
	}
	if s := l.record.State(); l.transport != carrier.Auto || s.Transport == transport && time.Since(s.TransportTime) < carrier.ForgetAfter {
		return
	}
	l.record.Change(func(s *state.State) { s.Transport, s.TransportTime = transport, time.Now() })
}

// failed ends the process if it has never been connected and err says that it never
// will be.
func (l *link) failed(err error) {
	var refused *carrier.RefusedError
	l.mu.Lock()
	final := !l.connected && (carrier.Hopeless(err) || errors.As(err, &refused) && time.Since(l.started) > refusedTimeout)
	if final && l.fatal == nil {
		l.fatal = l.explain(err)
	}
	l.mu.Unlock()
	if final {
		l.life.end(endFailed)
	}
}

// failure returns why the process can never connect.
func (l *link) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}

// was says whether the process has ever been connected.
func (l *link) was() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.connected
}

// woke handles the end of a sleep of the machine; gap is how long it slept.
func (l *link) woke(gap time.Duration) {
	l.pool.Woke(gap)
	if gap > carrier.LongSleep {
		l.redialLines()
	}
}

// redial closes every connection and dials again.
func (l *link) redial() {
	l.pool.Renew()
	l.redialLines()
}

func (l *link) redialLines() {
	if l.lines != nil {
		l.lines.Renew()
		l.drop()
	}
}

// retry dials at once the connections that wait for their next attempt.
func (l *link) retry() {
	l.pool.Retry()
	if l.lines != nil {
		l.lines.Retry()
	}
}

// explain returns an error that tells a user why there is no carrier.
func (s *settings) explain(err error) error {
	if carrier.Hopeless(err) && (errors.Is(err, carrier.ErrNoManager) || apierrors.IsNotFound(err)) {
		return &target.NotInstalledError{Namespace: s.id.ManagerNamespace}
	}
	if s.transport != carrier.Auto && carrier.IsNotPossible(err) && !apierrors.IsForbidden(err) {
		return fmt.Errorf("%w (another --transport may work)", err)
	}
	return err
}
