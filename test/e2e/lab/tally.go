//go:build linux

package lab

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Tally counts the answers and the failures of a stream of requests.
type Tally struct {
	mu       sync.Mutex
	answers  map[string]int
	failures []Failure
	answered time.Time // when the last answer came
	failing  bool      // a request has failed since the last answer
	outage   time.Duration
	stop     context.CancelFunc
	done     chan struct{}
}

// Failure is a request without an answer.
type Failure struct {
	At  time.Time
	Err error
}

// String returns the error with its time in the format of logs.
func (f Failure) String() string {
	return fmt.Sprintf("%s %v", f.At.UTC().Format("15:04:05.000"), f.Err)
}

// Stream sends requests until Stop, each over a new connection and from the next
// node.
func (l *Lab) Stream(addr string) *Tally {
	ctx, stop := context.WithCancel(l.Context())
	t := &Tally{answers: map[string]int{}, stop: stop, done: make(chan struct{})}
	l.Cleanup(func() { t.Stop() })
	go func() {
		defer close(t.done)
		ticker := time.NewTicker(2 * time.Millisecond)
		defer ticker.Stop()
		for n := 0; ctx.Err() == nil; n++ {
			got, err := l.Nodes[n%len(l.Nodes)].Ask(ctx, addr)
			t.note(ctx, got, err)
			<-ticker.C
		}
	}()
	return t
}

func (t *Tally) note(ctx context.Context, name string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil:
		now := time.Now()
		if t.failing && !t.answered.IsZero() {
			t.outage = max(t.outage, now.Sub(t.answered))
		}
		t.answers[name]++
		t.answered, t.failing = now, false
	case ctx.Err() == nil:
		t.failing = true
		t.failures = append(t.failures, Failure{time.Now(), err})
	}
}

// Answers returns how many requests name has answered so far.
func (t *Tally) Answers(name string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.answers[name]
}

// Outage returns the longest time between two answers in which requests failed. Call
// it after Stop.
func (t *Tally) Outage() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.outage
}

// Stop ends the stream and returns how many requests each one answered, and
// what failed.
func (t *Tally) Stop() (answers map[string]int, failures []Failure) {
	t.stop()
	<-t.done
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.answers), slices.Clone(t.failures)
}
