package ports

import (
	"context"
	"sync"
)

// drain is the listeners of ports that were given back, until their last
// connection has ended.
type drain struct {
	ctx   context.Context // ends when connections that are left are to be reset
	cut   context.CancelFunc
	count int            // guarded by the Set's mutex
	work  sync.WaitGroup // draining and, until they notice their end, proofs
}

// startDraining closes the listeners of ports that the entrance has closed; the
// caller holds s.mu.
func (s *Set) startDraining() {
	for _, p := range s.leaving {
		if p.listener == nil {
			continue
		}
		s.drain.count++
		s.drain.work.Go(func() {
			p.listener.Close(s.drain.ctx)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.drain.count--
			s.idle()
		})
	}
	s.leaving = nil
	s.idle()
}

// idle tells the entrance if nothing needs it any more. The rules go no earlier
// than the last redirected connection, which would break without them.
func (s *Set) idle() {
	if len(s.ports) == 0 && s.drain.count == 0 {
		s.entrance.Idle()
	}
}
