package carrier

import (
	"context"
	"time"
)

const (
	clockTick = 2 * time.Second
	// slept is the shortest jump of the wall clock that counts as a sleep. After
	// LongSleep, the far ends have closed the carriers.
	slept     = 10 * time.Second
	LongSleep = time.Minute
)

// WatchClock calls jumped with the length of every sleep of the machine,
// which shows as a jump of the wall clock, until ctx ends.
func WatchClock(ctx context.Context, jumped func(time.Duration)) {
	ticker := time.NewTicker(clockTick)
	defer ticker.Stop()
	last := time.Now().Round(0) // without the monotonic reading, which stands still in sleep
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := time.Now().Round(0)
		if gap := now.Sub(last) - clockTick; gap > slept {
			jumped(gap)
		}
		last = now
	}
}

// Woke acts on a sleep of the machine.
func (p *Pool) Woke(gap time.Duration) {
	p.cfg.Log.Info("this machine slept", "for", gap)
	if gap > LongSleep {
		p.Renew()
	} else {
		p.Retry()
	}
}
