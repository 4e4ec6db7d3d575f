package session

import (
	"context"
	"slices"
	"strings"
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

// TestUpgradedMeanwhile: a process that this command has just started is not replaced for its
// build, because the next one would be of that build as well.
func TestUpgradedMeanwhile(t *testing.T) {
	e := &ensurer{child: &Child{PID: 7}}
	ready, err := e.running(context.Background(), &Status{PID: 7, Version: "7.8.9", Build: "7.8.9+new"})
	if ready || err == nil || !strings.Contains(err.Error(), "upgraded to version 7.8.9") || !strings.Contains(err.Error(), "type the command again") {
		t.Errorf("got %v, %v", ready, err)
	}
}
