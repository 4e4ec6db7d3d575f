//go:build linux

package main

import (
	"encoding/json"
	"net/http"
	"sync"
)

// stats counts connections by what became of them (inTLS, inPlain, inRefused,
// outTLS, outPlain, outRefused) and by their destination. It is the admin port:
// JSON at /stats, anything else says that the proxy is ready.
type stats struct {
	mu     sync.Mutex
	counts map[string]map[string]int
}

func (s *stats) count(what, to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts == nil {
		s.counts = map[string]map[string]int{}
	}
	if s.counts[what] == nil {
		s.counts[what] = map[string]int{}
	}
	s.counts[what][to]++
}

// ServeHTTP is the admin port.
func (s *stats) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/stats" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = json.NewEncoder(w).Encode(s.counts) // the caller has gone
}
