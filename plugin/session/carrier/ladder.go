package carrier

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

const (
	// headStart is for how long a direct way that has not been tried is waited for before the
	// next one is dialed as well; knownStart where it is known to work.
	headStart  = 300 * time.Millisecond
	knownStart = 800 * time.Millisecond
	// probeTimeout bounds the question whether a direct way that failed works again.
	// ProbePause is the time between two of them, which grows to probeRest.
	probeTimeout = 5 * time.Second
	probePause   = time.Second
	probeRest    = time.Minute
)

// Ladder dials directly, and by other transports when that fails or takes too long. Where the
// direct way has failed, dials do not wait for it, and a goroutine asks now and then whether
// it works. It is safe for concurrent use.
type Ladder struct {
	cfg LadderConfig

	mu   sync.Mutex
	good bool   // the last direct connection worked
	bad  error  // why the last one did not; nil if it worked, or none was tried
	at   string // the network in which it did not
	wake chan struct{}
}

// LadderConfig is what a Ladder needs.
type LadderConfig struct {
	Direct interface {
		Dial(context.Context) (net.Conn, error)
		network(context.Context) string
	}
	// Reread reads the published addresses again.
	Reread func(context.Context)
	// Below makes a carrier by another transport.
	Below func(context.Context) (net.Conn, string, error)
	// Failed says whether an earlier process found no direct way in a network. Remember is
	// told what this one finds.
	Failed   func(network string) bool
	Remember func(network string, failed bool)
	// Moved is called when the direct way works again, or for the first time.
	Moved func()
	Log   *slog.Logger
}

// NewLadder returns a Ladder whose direct way has not been tried.
func NewLadder(c LadderConfig) *Ladder { return &Ladder{cfg: c, wake: make(chan struct{}, 1)} }

// Dial returns a carrier and the name of its transport.
func (l *Ladder) Dial(ctx context.Context) (net.Conn, string, error) {
	return l.Race(ctx, l.cfg.Direct.Dial, l.cfg.Below)
}

// Good says that the direct way works.
func (l *Ladder) Good() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.good
}

// Problem is why connections do not go directly; nil if they do, or if there is no such way.
func (l *Ladder) Problem() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if errors.Is(l.bad, errNotOffered) {
		return nil
	}
	return l.bad
}

// Retry asks at once whether the direct way works: the network may be another one.
func (l *Ladder) Retry() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

var errRemembered = &BetweenError{ViaDirect, errors.New("it failed in this network before, and is tried again in the background")}

// start says for how long the direct way is waited for, and whether it is dialed at all.
func (l *Ladder) start(ctx context.Context) (time.Duration, bool) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	network := l.cfg.Direct.network(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.good:
		return knownStart, true
	case l.bad != nil && l.at == network:
		return 0, false
	case l.cfg.Failed(network):
		l.bad, l.at = errRemembered, network
		l.Retry()
		return 0, false
	}
	return headStart, true
}

// Race dials one of the two ways, or both. The connection that comes first is returned.
func (l *Ladder) Race(ctx context.Context, directly func(context.Context) (net.Conn, error), below func(context.Context) (net.Conn, string, error)) (net.Conn, string, error) {
	patience, try := l.start(ctx)
	if !try {
		return below(ctx)
	}
	type answer struct {
		conn net.Conn
		name string
		err  error
	}
	ctx, cancel := context.WithCancel(ctx) // ends the dial that is not needed any more
	defer cancel()
	first, second := make(chan answer, 1), make(chan answer, 1)
	go func() {
		attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
		defer cancel()
		conn, err := directly(attempt)
		first <- answer{conn, ViaDirect, err}
	}()
	began := false
	begin := func() {
		if began {
			return
		}
		began = true
		go func() {
			conn, name, err := below(ctx)
			second <- answer{conn, name, err}
		}()
	}
	unneeded := func(c chan answer) {
		if a := <-c; a.conn != nil {
			a.conn.Close()
		}
	}
	wait := time.NewTimer(patience)
	defer wait.Stop()
	var failure error // of the second
	for {
		select {
		case <-wait.C:
			begin()
		case a := <-first:
			if a.err == nil {
				l.works()
				cancel()
				if began && failure == nil {
					go unneeded(second)
				}
				return a.conn, a.name, nil
			}
			if ctx.Err() == nil {
				l.fails(ctx, a.err)
			}
			if failure != nil {
				return nil, "", failure
			}
			first = nil
			begin()
		case a := <-second:
			if a.err != nil && first != nil { // the direct way may still work
				second, failure = nil, a.err
				continue
			}
			if first != nil {
				l.fails(ctx, &BetweenError{ViaDirect, errors.New("it takes longer than the way by the API server")})
				cancel()
				go unneeded(first)
			}
			return a.conn, a.name, a.err
		}
	}
}

// works notes that the direct way works.
func (l *Ladder) works() {
	l.mu.Lock()
	news, network := !l.good, l.at
	l.good, l.bad = true, nil
	l.mu.Unlock()
	if !news {
		return
	}
	l.cfg.Log.Info("the traffic-manager is reached directly")
	if network != "" {
		l.cfg.Remember(network, false)
	}
	l.cfg.Moved()
}

// fails notes that the direct way does not work in this network.
func (l *Ladder) fails(ctx context.Context, err error) {
	network := l.cfg.Direct.network(ctx)
	l.mu.Lock()
	news := l.bad == nil || l.at != network
	l.good, l.bad, l.at = false, err, network
	l.mu.Unlock()
	if news && !IsNotPossible(err) {
		l.cfg.Log.Info("the traffic-manager is not reached directly", "error", err)
		l.cfg.Remember(network, true)
	}
	if news {
		l.Retry()
	}
}

// Run asks now and then whether a direct way that failed works, until ctx ends.
func (l *Ladder) Run(ctx context.Context) {
	pause := probePause
	for ctx.Err() == nil {
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
			pause = min(2*pause, probeRest)
		case <-l.wake:
			pause = probePause
			await(ctx, nil, pause)
		case <-ctx.Done():
		}
		wait.Stop()
		l.mu.Lock()
		asks := !l.good && l.bad != nil
		l.mu.Unlock()
		if !asks || ctx.Err() != nil {
			continue
		}
		attempt, cancel := context.WithTimeout(ctx, probeTimeout)
		l.cfg.Reread(attempt)
		conn, err := l.cfg.Direct.Dial(attempt)
		cancel()
		if err == nil {
			conn.Close()
			l.works()
			pause = probePause
			continue
		}
		l.mu.Lock()
		if !l.good {
			l.bad = err
		}
		l.mu.Unlock()
	}
}
