package patience

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestTimer(t *testing.T) {
	never := func(time.Time) time.Time { return time.Time{} }
	for _, c := range []struct {
		name string
		last func(begun time.Time) time.Time
		want time.Duration
	}{
		{"nobody is answered", never, Quiet},
		{"the last answer was before", func(begun time.Time) time.Time { return begun.Add(-time.Second) }, Quiet},
		{"one answer", func(begun time.Time) time.Time { return begun.Add(time.Second) }, Quiet + time.Second},
		{"all others are answered", func(time.Time) time.Time { return time.Now() }, Most},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				over := make(chan time.Duration, 1)
				timer := Start(func() time.Time { return c.last(begun) }, func() { over <- time.Since(begun) })
				if got := <-over; got != c.want {
					t.Errorf("the wait took %v, not %v", got, c.want)
				}
				if timer.Stop() {
					t.Error("the wait can be stopped after its end")
				}
			})
		})
	}
}

func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		timer := Start(time.Now, func() { t.Error("gave up after the answer") })
		time.Sleep(Quiet + time.Second) // it has looked once
		if !timer.Stop() {
			t.Error("the wait was over")
		}
		time.Sleep(2 * Most)
	})
}
