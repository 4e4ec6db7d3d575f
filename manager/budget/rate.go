package budget

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Rate bounds how often each peer does something: burst times at once, and perSecond
// times a second after that. It is safe for concurrent use.
type Rate struct {
	refusals         *refusals
	peer             Peer
	things           string
	perSecond, burst float64

	mu    sync.Mutex
	peers map[string]*bucket
	sweep int // how many peers there may be before those are forgotten that have their burst again
}

// bucket is how often a peer might do it, at a time.
type bucket struct {
	left float64
	at   time.Time
}

// sweepMin is how many peers are remembered without a look at them.
const sweepMin = 1024

func newRate(r *refusals, p Peer, things string, perSecond, burst float64) *Rate {
	return &Rate{refusals: r, peer: p, things: things, perSecond: perSecond, burst: burst, peers: map[string]*bucket{}, sweep: sweepMin}
}

// Allow says whether a peer may do it now. The error is an OverError.
func (r *Rate) Allow(peer string) error {
	if wait := r.take(peer, false); wait > 0 {
		return r.over(peer)
	}
	return nil
}

// Await waits until the peer may do it, or ctx ends. It counts a peer that has to wait.
func (r *Rate) Await(ctx context.Context, peer string) error {
	wait := r.take(peer, true)
	if wait <= 0 {
		return nil
	}
	err := r.over(peer)
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return err
	}
}

func (r *Rate) over(peer string) error {
	return r.refusals.refuse(r.peer, peer, r.things, fmt.Sprintf("%g %s a second", r.perSecond, r.things))
}

// take returns how long the peer has to wait, and takes its turn if that is not at all, or
// if it will wait.
func (r *Rate) take(peer string, waits bool) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	b := r.peers[peer]
	if b == nil {
		r.forget(now)
		b = &bucket{r.burst, now}
		r.peers[peer] = b
	}
	b.left, b.at = r.now(b, now), now
	if b.left >= 1 {
		b.left--
		return 0
	}
	wait := time.Duration((1 - b.left) / r.perSecond * float64(time.Second))
	if waits {
		b.left--
	}
	return wait
}

// now is what a bucket has at a time.
func (r *Rate) now(b *bucket, now time.Time) float64 {
	return min(r.burst, b.left+now.Sub(b.at).Seconds()*r.perSecond)
}

// forget makes room for another peer: those that have their whole burst are as good as new.
func (r *Rate) forget(now time.Time) {
	if len(r.peers) < r.sweep {
		return
	}
	for peer, b := range r.peers {
		if r.now(b, now) >= r.burst {
			delete(r.peers, peer)
		}
	}
	r.sweep = max(sweepMin, 2*len(r.peers))
}
