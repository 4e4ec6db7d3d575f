package carrier

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
)

// handshakeTimeout bounds Hello and Welcome.
const handshakeTimeout = 10 * time.Second

// silence is how long nothing may arrive on a carrier. The manager pings every carrier
// each ten seconds.
const silence = 30 * time.Second

// RefusedError is a traffic-manager's refusal of a carrier.
type RefusedError struct {
	Reason string
	// Renew: it admits carriers once the Session is renewed.
	Renew bool
}

// Error is the reason.
func (e *RefusedError) Error() string {
	return "the traffic-manager refuses the connection: " + e.Reason
}

// Config is what a Pool needs.
type Config struct {
	// Size is the number of carriers.
	Size int
	// Dial returns an upgraded connection and the name of its transport; see Dialer.
	Dial func(context.Context) (net.Conn, string, error)
	// Hello begins each carrier.
	Hello handshake.Hello
	// Serve uses a carrier until it breaks. It owns the connection.
	Serve func(context.Context, net.Conn) error
	// Connected, if not nil, is told of every carrier that is up, and Failed of every
	// attempt that failed. Several goroutines may call them at once.
	Connected func(transport string)
	Failed    func(error)
	// Outdated, if not nil, says that there is a better transport now. A carrier ends then as
	// soon as there is no flow on it.
	Outdated func(transport string) bool
	Log      *slog.Logger
}

// State is a snapshot of a Pool.
type State struct {
	// Carriers is how many are up.
	Carriers int
	// Transport, Relay and ManagerVersion are of the youngest carrier.
	Transport, Relay, ManagerVersion string
	// Domain is the cluster's DNS domain.
	Domain string
	// RTT is that of the fastest handshake since there last was no carrier.
	RTT time.Duration
	// Err is why the last attempt failed; nil while all carriers are up.
	Err error
}

// Pool keeps carriers up. It is safe for concurrent use.
type Pool struct {
	cfg Config

	signals

	born  time.Time
	heard atomic.Int64 // when anything last arrived on a carrier, since born
	ups   atomic.Int64 // how many carriers came up

	mu    sync.Mutex
	state State
}

// NewPool returns a Pool that is not running yet.
func NewPool(cfg Config) *Pool {
	return &Pool{cfg: cfg, signals: newSignals(), born: time.Now()}
}

func (p *Pool) hear() { p.heard.Store(int64(time.Since(p.born))) }

// Quiet is for how long nothing has arrived on any carrier.
func (p *Pool) Quiet() time.Duration { return time.Since(p.born) - time.Duration(p.heard.Load()) }

// Ups is how many carriers have come up so far.
func (p *Pool) Ups() int { return int(p.ups.Load()) }

// Run keeps the carriers up until ctx ends.
func (p *Pool) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for range p.cfg.Size {
		wg.Go(func() { p.keep(ctx) })
	}
	wg.Wait()
}

// State returns a snapshot.
func (p *Pool) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.state
	if s.Carriers == p.cfg.Size {
		s.Err = nil
	}
	return s
}

// keep keeps one carrier up.
func (p *Pool) keep(ctx context.Context) {
	var b backoff
	for ctx.Err() == nil {
		wake := p.pause()
		lived, err := p.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if lived >= stable {
			b.reset()
		}
		p.failed(err)
		pause := time.NewTimer(b.next(time.Now()))
		select {
		case <-pause.C:
		case <-wake:
			b.reset()
		case <-ctx.Done():
		}
		pause.Stop()
	}
}

// once brings one carrier up, and returns when it has ended.
func (p *Pool) once(ctx context.Context) (lived time.Duration, err error) {
	ctx, cancel := p.untilDropped(ctx)
	defer cancel()
	conn, transport, err := p.cfg.Dial(ctx)
	if err != nil {
		return 0, err
	}
	welcome, rtt, err := p.greet(ctx, conn)
	if err != nil {
		conn.Close()
		return 0, err
	}
	begin := time.Now()
	p.ups.Add(1) // before hear
	p.hear()
	p.up(transport, welcome, rtt)
	watched := &silentConn{Conn: conn, heard: p.hear}
	go watched.closeWhenSilent(ctx, silence)
	if p.cfg.Outdated != nil {
		go watched.closeWhenIdle(ctx, func() bool { return p.cfg.Outdated(transport) })
	}
	err = p.cfg.Serve(ctx, watched)
	p.mu.Lock()
	p.state.Carriers--
	p.mu.Unlock()
	if err == nil {
		err = errors.New("connection to the traffic-manager is lost")
	}
	return time.Since(begin), err
}

// greet shakes hands.
func (p *Pool) greet(ctx context.Context, conn net.Conn) (*handshake.Welcome, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Close() }) // deadlines may have no effect
	defer stop()
	begin := time.Now()
	if err := handshake.WriteHello(conn, &p.cfg.Hello); err != nil {
		return nil, 0, fmt.Errorf("greet the traffic-manager: %w", err)
	}
	w, err := handshake.ReadWelcome(conn)
	if err != nil {
		return nil, 0, fmt.Errorf("greet the traffic-manager: %w", err)
	}
	if w.Refusal != "" {
		return nil, 0, &RefusedError{w.Refusal, w.Renew}
	}
	if !stop() {
		return nil, 0, fmt.Errorf("greet the traffic-manager: %w", ctx.Err())
	}
	return w, max(time.Since(begin)-w.Took, 0), nil
}

func (p *Pool) up(transport string, w *handshake.Welcome, rtt time.Duration) {
	p.mu.Lock()
	first := p.state.Carriers == 0
	p.state.Carriers++
	p.state.Transport, p.state.Relay, p.state.ManagerVersion = transport, w.Pod, w.Version
	if first || rtt < p.state.RTT {
		p.state.RTT = rtt // the others waited for a busy machine
	}
	p.state.Domain = w.Domain
	p.mu.Unlock()
	p.cfg.Log.Info("carrier is up", "transport", transport, "relay", w.Pod, "managerVersion", w.Version, "rtt", rtt)
	if first {
		p.Retry() // the other carriers need not pause
	}
	if p.cfg.Connected != nil {
		p.cfg.Connected(transport)
	}
}

func (p *Pool) failed(err error) {
	p.mu.Lock()
	level := slog.LevelDebug // the same error again
	if p.state.Err == nil || p.state.Err.Error() != err.Error() {
		level = slog.LevelWarn
	}
	p.state.Err = err
	p.mu.Unlock()
	p.cfg.Log.Log(context.Background(), level, "carrier is down", "error", err)
	if p.cfg.Failed != nil {
		p.cfg.Failed(err)
	}
}
