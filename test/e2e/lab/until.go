//go:build linux

package lab

import (
	"context"
	"time"
)

// checkInterval is the least time between two checks of a condition.
const checkInterval = 100 * time.Millisecond

// Until waits until the condition returns nil. After Patience it fails the test with
// the last error.
func (l *Lab) Until(what string, condition func() error) {
	l.Helper()
	l.Within(Patience, what, condition)
}

// Within is Until with a limit that the test asserts. It returns how long the
// condition took. Between two checks it waits at least as long as a check takes:
// checks that start programs would otherwise take the processor from what they wait
// for.
func (l *Lab) Within(limit time.Duration, what string, condition func() error) time.Duration {
	l.Helper()
	start := time.Now()
	ctx, cancel := context.WithTimeout(l.Context(), limit)
	defer cancel()
	for {
		began := time.Now()
		err := condition()
		if err == nil {
			return time.Since(start)
		}
		select {
		case <-time.After(max(checkInterval, time.Since(began))):
		case <-ctx.Done():
			l.Fatalf("not within %s: %s: %v", limit, what, err)
		}
	}
}

// Throughout fails the test if the condition returns an error during a period. It
// checks what must not happen.
func (l *Lab) Throughout(period time.Duration, what string, condition func() error) {
	l.Helper()
	for start := time.Now(); time.Since(start) < period; {
		if err := condition(); err != nil {
			l.Fatalf("after %s no longer: %s: %v", time.Since(start).Round(time.Millisecond), what, err)
		}
	}
}
