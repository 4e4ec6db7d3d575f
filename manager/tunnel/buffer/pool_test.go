package buffer

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestQuiet: memory is given back once after each time that flows were busy, and once more
// when a flow ends that was at rest for long.
func TestQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p := newPool(1 << 10)
		releases := 0
		go p.whenQuiet(ctx, func() { releases++ })
		later := func(d time.Duration, want int, why string) {
			t.Helper()
			time.Sleep(d) // simulated
			synctest.Wait()
			if releases != want {
				t.Errorf("%s: memory was given back %d times, not %d", why, releases, want)
			}
		}
		later(time.Minute, 0, "nothing has happened")
		var b *[]byte
		for range 30 {
			b = p.Get(100)
			later(time.Second, 0, "a flow is busy")
			p.Put(b)
		}
		b = p.Get(100)
		later(11*time.Second, 1, "the flow is at rest")
		later(time.Minute, 1, "it still is")
		p.Put(b)
		later(11*time.Second, 2, "the flow has ended")
		later(time.Minute, 2, "nothing has happened since")
		cancel()
	})
}
