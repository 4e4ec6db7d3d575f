package budget

import (
	"context"
	"fmt"
	"sync"
)

// Limit bounds how many of one sort of things each peer has at a time, and, unless that
// is 0, all peers together. It is safe for concurrent use.
type Limit struct {
	refusals  *refusals
	peer      Peer
	things    string
	each, all int

	mu    sync.Mutex
	used  map[string]int
	total int
	freed chan struct{} // closed, and made anew, when something is given back
}

func newLimit(r *refusals, p Peer, things string, each, all int) *Limit {
	return &Limit{refusals: r, peer: p, things: things, each: each, all: all, used: map[string]int{}, freed: make(chan struct{})}
}

// Take takes one for a peer. The caller must call release, once or several times, when
// the peer has it no longer. The error is an OverError.
func (l *Limit) Take(peer string) (release func(), err error) {
	release, _, over := l.try(peer)
	if release == nil {
		return nil, l.refuse(peer, over)
	}
	return release, nil
}

// Await is Take for a peer that waits until there is one, or ctx ends.
func (l *Limit) Await(ctx context.Context, peer string) (release func(), err error) {
	for {
		release, freed, over := l.try(peer)
		if release != nil {
			return release, nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return nil, l.refuse(peer, over)
		}
	}
}

// bound says which of its bounds a Limit has reached.
type bound int

const (
	within bound = iota
	ofPeer
	ofAll
)

// try returns no release if there is none to take; then freed is closed when that may
// have changed.
func (l *Limit) try(peer string) (release func(), freed <-chan struct{}, over bound) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.used[peer] >= l.each:
		return nil, l.freed, ofPeer
	case l.all > 0 && l.total >= l.all:
		return nil, l.freed, ofAll
	}
	l.used[peer]++
	l.total++
	return sync.OnceFunc(func() { l.give(peer) }), nil, within
}

func (l *Limit) give(peer string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.used[peer]--; l.used[peer] == 0 {
		delete(l.used, peer)
	}
	l.total--
	close(l.freed)
	l.freed = make(chan struct{})
}

func (l *Limit) refuse(peer string, over bound) error {
	if over == ofAll {
		return l.refusals.refuse(l.peer, "", l.things, fmt.Sprintf("%d %s", l.all, l.things))
	}
	return l.refusals.refuse(l.peer, peer, l.things, fmt.Sprintf("%d %s", l.each, l.things))
}

// inUse is how many all peers have.
func (l *Limit) inUse() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}
