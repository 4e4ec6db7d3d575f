package relay

import (
	"maps"
	"sync"
	"time"
)

// trialEvery is how often something that failed is tried again.
const trialEvery = time.Second

// breaker is a circuit breaker: it remembers which relays and sessions failed, so
// that only one flow in a while waits for them, and all others go elsewhere at
// once. One that is merely slow under load has not failed.
type breaker struct {
	mu     sync.Mutex
	failed map[string]time.Time // to the next trial
	worked map[string]time.Time // when it succeeded last
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

func (b *breaker) succeed(key string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.failed, key)
	if b.worked == nil {
		b.worked = map[string]time.Time{}
	}
	b.worked[key] = now
}

// fail says that an attempt which began at a time did not succeed. It returns
// false if another attempt has succeeded since then: the key has not failed.
func (b *breaker) fail(key string, begun, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.worked[key].After(begun) {
		return false
	}
	if b.failed == nil {
		b.failed = map[string]time.Time{}
	}
	b.failed[key] = now.Add(trialEvery)
	return true
}

// workedAt returns when key succeeded last.
func (b *breaker) workedAt(key string) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.worked[key]
}

// retain forgets all but the keys that keep wants.
func (b *breaker) retain(keep func(key string) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	drop := func(key string, _ time.Time) bool { return !keep(key) }
	maps.DeleteFunc(b.failed, drop)
	maps.DeleteFunc(b.worked, drop)
}
