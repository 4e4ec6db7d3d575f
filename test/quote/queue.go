package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// claimEvery is the pause between two claims of a consumer.
const claimEvery = 50 * time.Millisecond

// queue counts the jobs that consumers claim, by their names.
type queue struct {
	mu     sync.Mutex
	claims map[string]int
}

// claim gives a job to the consumer that asks.
func (q *queue) claim(w http.ResponseWriter, r *http.Request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.claims[r.FormValue("by")]++
	w.WriteHeader(http.StatusNoContent)
}

// list tells how many jobs each consumer has claimed.
func (q *queue) list(w http.ResponseWriter, _ *http.Request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	_ = json.NewEncoder(w).Encode(q.claims)
}

// work claims jobs of a queue, one after the other. A queue that does not answer is asked again.
func work(ctx context.Context, queue, name string) {
	client := &http.Client{Timeout: 5 * time.Second}
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, queue+"/claim?by="+url.QueryEscape(name), nil)
		if err != nil {
			return
		}
		if answer, err := client.Do(r); err == nil {
			_, _ = io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(claimEvery):
		}
	}
}
