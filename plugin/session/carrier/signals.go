package carrier

import (
	"context"
	"sync"
)

// signals reach everything that waits or works at the moment, and nothing that
// begins later. They are safe for concurrent use.
type signals struct {
	mu   sync.Mutex
	wake chan struct{} // closed and replaced to end all pauses
	drop chan struct{} // closed and replaced to drop all connections
}

func newSignals() signals { return signals{wake: make(chan struct{}), drop: make(chan struct{})} }

// Retry ends all pauses: there is reason to believe that it works now.
func (s *signals) Retry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.wake)
	s.wake = make(chan struct{})
}

// Renew drops all connections and begins anew: they are dead and may not know.
func (s *signals) Renew() {
	s.mu.Lock()
	close(s.drop)
	s.drop = make(chan struct{})
	s.mu.Unlock()
	s.Retry()
}

// pause is closed by the next Retry.
func (s *signals) pause() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wake
}

// untilDropped is ctx that also ends with the next Renew.
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
