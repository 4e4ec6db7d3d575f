package forward

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
)

const (
	// maxCompared is how many requests are compared with every condition after each look at
	// the counters. The others cost an addition or two each.
	maxCompared = 64
	// maxHeaders is how many names of headers are kept, and maxHeaderName how long they
	// may be.
	maxHeaders, maxHeaderName = 40, 64
)

// seen is what the requests of a port were, those of the kubelet excepted.
type seen struct {
	requests atomic.Uint64
	left     atomic.Int64 // how many are still compared with every condition before the next look

	mu    sync.Mutex
	names map[string]*heard // headers, by their names in lower case
	lower [maxHeaderName]byte
}

// request counts a request that a route takes, or none if taker is nil, and that mirrors
// have copied.
func (s *seen) request(t *table, r *match.Request, taker *Route, copiers []http.Copier) {
	s.requests.Add(1)
	if taker != nil && taker.tally != nil {
		taker.tally.taken.Add(1)
	}
	for _, c := range copiers {
		c.(copier).tally.taken.Add(1)
	}
	if t.matches == nil && t.copied == nil || s.left.Load() <= 0 || s.left.Add(-1) < 0 {
		return
	}
	if t.matches != nil {
		t.matches.Count(r, t.counts)
	}
	for _, route := range t.personal {
		if route != taker {
			route.tally.passedNow()
		}
	}
	if t.copied != nil {
		t.copied.Count(r, t.copiedCounts)
	}
	for _, route := range t.copies {
		if !slices.ContainsFunc(copiers, func(c http.Copier) bool { return c.(copier).tally == route.tally }) {
			route.tally.passedNow()
		}
	}
	s.note(r, t.named)
}

// note keeps the request's headers, with values of those that may hold credentials only if
// they are among named. It allocates nothing unless there is a new header, or the second
// or third value of one.
func (s *seen) note(r *match.Request, named map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range r.Fields {
		name := lowered(r.Fields[i].Name, &s.lower)
		if len(name) == 0 {
			continue
		}
		h := s.names[string(name)]
		switch {
		case h == nil && len(s.names) >= maxHeaders:
			continue
		case h == nil:
			if s.names == nil {
				s.names = map[string]*heard{}
			}
			h = &heard{secret: secret(string(name))}
			s.names[string(name)] = h
		}
		if !h.secret || named[string(name)] {
			h.add(r.Fields[i].Value)
		}
	}
}

// lowered is a name in lower case; nil if it is too long, or has a character that the name
// of a header cannot have (RFC 9110, a token).
func lowered(name []byte, into *[maxHeaderName]byte) []byte {
	if len(name) > len(into) {
		return nil
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return nil
		}
		into[i] = c
	}
	return into[:len(name)]
}

// headers are the names in order.
func (s *seen) headers() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for name := range s.names {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// forget is for a port without routes for single requests.
func (s *seen) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names = nil
}
