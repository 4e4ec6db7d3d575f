package session

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestTell: while a session does not connect, its last error is said, but for one
// that lasts no longer than a moment; each is said once.
func TestTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const phase = "connecting to the traffic-manager"
		var said []string
		e := &ensurer{progress: func(text string) { said = append(said, text) }}
		look := func(lastError string, period time.Duration) {
			for end := time.Now().Add(period); time.Now().Before(end); time.Sleep(poll) {
				e.tell(&Status{Phase: phase, LastError: lastError})
			}
		}
		look("", time.Second)
		look("answer 502 Bad Gateway", moment/2)
		look("", time.Second) // it has passed
		look("answer 502 Bad Gateway", moment/2)
		if want := []string{phase}; !slices.Equal(said, want) {
			t.Fatalf("said %q, want %q", said, want)
		}
		look("answer 502 Bad Gateway\nwith a long page", moment)
		look("no endpoints available", time.Second)
		if want := []string{phase, phase + ": answer 502 Bad Gateway", phase + ": no endpoints available"}; !slices.Equal(said, want) {
			t.Errorf("said %q, want %q", said, want)
		}
	})
}
