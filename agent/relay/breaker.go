package relay

import (
	"sync"
	"time"
)

// trialEvery is how often something that failed is tried again.
const trialEvery = time.Second

// breaker remembers what failed, so that only one flow in a while waits for it
// and the others pass by.
type breaker struct {
	mu     sync.Mutex
	failed map[string]time.Time // to the next trial
}

// allow says whether to try key now. For something that failed it says yes once
// in trialEvery, and that this is the trial.
func (b *breaker) allow(key string, now time.Time) (ok, trial bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	next, failed := b.failed[key]
	if !failed {
		return true, false
	}
	if now.Before(next) {
		return false, false
	}
	b.failed[key] = now.Add(trialEvery)
	return true, true
}

// broken says that key failed and has not succeeded since.
func (b *breaker) broken(key string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, failed := b.failed[key]
	return failed
}

func (b *breaker) succeed(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.failed, key)
}

func (b *breaker) fail(key string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed == nil {
		b.failed = map[string]time.Time{}
	}
	b.failed[key] = now.Add(trialEvery)
}

// retain forgets all but the keys that keep wants.
func (b *breaker) retain(keep func(key string) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key := range b.failed {
		if !keep(key) {
			delete(b.failed, key)
		}
	}
}
