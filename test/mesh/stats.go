//go:build linux

package main

import (
	"encoding/json"
	"net/http"
	"sync"
)

// stats counts connections by outcome (inTLS, inPlain, inRefused, outTLS, outPlain,
// outRefused) and by destination. It also serves the admin port.
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

// ServeHTTP serves the admin port: the counts as JSON at /stats. The answer to any
// other path is 200, which says that the proxy is ready.
func (s *stats) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/stats" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = json.NewEncoder(w).Encode(s.counts) // on an error, the caller is gone
}
