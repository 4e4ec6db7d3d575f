package carrier

import (
	"context"
	"sync"
)

// signals end pauses and connections that there are at the moment, and none that
// begin later. They are safe for concurrent use.
type signals struct {
	mu   sync.Mutex
	wake chan struct{} // closed and replaced to end all pauses
	drop chan struct{} // closed and replaced to drop all connections
}

func newSignals() signals { return signals{wake: make(chan struct{}), drop: make(chan struct{})} }

// Retry ends all pauses: the next attempt is likely to succeed.
func (s *signals) Retry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.wake)
	s.wake = make(chan struct{})
}

// Renew closes all connections, so that new ones take their place: the network below
// them has changed, and they may not notice.
func (s *signals) Renew() {
	s.mu.Lock()
	close(s.drop)
	s.drop = make(chan struct{})
	s.mu.Unlock()
	s.Retry()
}

// pause returns a channel that the next Retry closes.
func (s *signals) pause() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wake
}

// untilDropped returns a context that ends with ctx or with the next Renew.
func (s *signals) untilDropped(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	drop := s.drop
	s.mu.Unlock()
	go func() {
		select {
		case <-drop:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
