package carrier

import (
	"math/rand/v2"
	"time"
)

// Back-off between attempts. Within the first minute of an outage it stays
// under a second, so that an API server's restart heals at once.
const (
	minPause   = 50 * time.Millisecond
	earlyPause = 800 * time.Millisecond
	maxPause   = 5 * time.Second
	earlyFor   = time.Minute
)

// stable is how long a carrier must have lived so that its end begins a new outage.
const stable = 2 * time.Second

// backoff is the pause before the next attempt of one carrier. The zero value
// is ready.
type backoff struct {
	pause time.Duration
	since time.Time // the outage began
}

// next returns how long to wait after a failure at now.
func (b *backoff) next(now time.Time) time.Duration {
	if b.since.IsZero() {
		b.since = now
	}
	limit := earlyPause
	if now.Sub(b.since) > earlyFor {
		limit = maxPause
	}
	b.pause = min(max(2*b.pause, minPause), limit)
	// ±20 %, so that not all laptops come back at the same instant.
	return time.Duration(float64(b.pause) * (0.8 + 0.4*rand.Float64()))
}

// reset ends the outage.
func (b *backoff) reset() { *b = backoff{} }
