package identity

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// lookEvery is how often the policies are looked at while nobody connects.
	lookEvery = 30 * time.Second
	// lookTimeout bounds one look.
	lookTimeout = 8 * time.Second
	// settle is how long after a policy was made the API servers may not know it.
	settle = 3 * time.Second
)

// Guard asks the API server whether the policies are in force. It is safe for concurrent use.
type Guard struct {
	// Client reads from the API server and not from a cache, and tries to make Sessions.
	Client client.Client
	// Release begins the names of the release's policies, Namespace holds the Sessions, and
	// User is the traffic-manager.
	Release, Namespace, User string
	// MaxAge is how long a confirmation of the user's groups is believed.
	MaxAge time.Duration
	// Changed, if not nil, is called when the policies come into force or stop to be.
	Changed func()
	Log     *slog.Logger

	mu     sync.Mutex
	last   *look     // the one that began last
	ended  *look     // the one that ended last
	next   *look     // waits for last to end; nil if nobody asks
	broken bool      // the last look found that something was missing
	since  time.Time // of the first look after that which found all in force
	known  string    // what the last look found
}

// look is one question to the API server.
type look struct {
	done  chan struct{} // closed at its end
	since time.Time     // Sessions made before it are not believed
	err   error         // the policies are not in force, or that is not known
}

// NeedLeaderElection says that every replica looks.
func (g *Guard) NeedLeaderElection() bool { return false }

// Start looks now and then until ctx ends, so that a policy is missed that was away between
// two sessions.
func (g *Guard) Start(ctx context.Context) error {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		g.InForce(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// InForce returns since when the policies are in force, or why they are not. It believes no
// look that began before it was called; calls at the same time share one.
func (g *Guard) InForce(ctx context.Context) (since time.Time, err error) {
	g.mu.Lock()
	l := g.next
	if l == nil {
		l = &look{done: make(chan struct{})}
		g.next = l
		go g.run(l, g.last)
	}
	g.mu.Unlock()
	select {
	case <-l.done:
		return l.since, l.err
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	}
}

// lately is what the look found that ended last, or InForce if there was none.
func (g *Guard) lately(ctx context.Context) (since time.Time, err error) {
	g.mu.Lock()
	l := g.ended
	g.mu.Unlock()
	if l == nil {
		return g.InForce(ctx)
	}
	return l.since, l.err
}

// run looks when the look before has ended.
func (g *Guard) run(l, before *look) {
	if before != nil {
		<-before.done
	}
	g.mu.Lock()
	g.last, g.next = l, nil
	g.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	began := time.Now()
	l.since, l.err = g.see(ctx)
	g.note(l, began)
	close(l.done)
}

// see returns since when the owner policy is in force, if all are and no forged Session is
// admitted. It asks all at once: a laptop waits.
func (g *Guard) see(ctx context.Context) (since time.Time, err error) {
	all := policies()
	times, errs := make([]time.Time, len(all)), make([]error, len(all)+1)
	var wg sync.WaitGroup
	for i, which := range all {
		wg.Go(func() { times[i], errs[i] = g.read(ctx, which) })
	}
	wg.Go(func() { errs[len(all)] = g.forge(ctx) })
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return since, err
		}
	}
	return times[slices.Index(all, owner)], nil
}

// note remembers that something was missing: what was made then is not believed although the
// objects are as they were.
func (g *Guard) note(l *look, began time.Time) {
	g.mu.Lock()
	var missing *MissingError
	switch {
	case l.err == nil && g.broken:
		g.since, g.broken = began, false
	case errors.As(l.err, &missing):
		g.broken = true
	}
	l.since = latest(l.since, g.since).Add(settle)
	g.ended = l
	found := "in force"
	if missing != nil {
		found = missing.Error()
	} else if l.err != nil {
		found = "unknown"
	}
	news := found != g.known
	g.known = found
	g.mu.Unlock()
	if !news {
		return
	}
	if l.err != nil {
		g.Log.Error("no session is admitted", "error", l.err)
	} else {
		g.Log.Info("the admission policies are in force", "since", l.since)
	}
	if g.Changed != nil {
		g.Changed()
	}
}
