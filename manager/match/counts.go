package match

import (
	"slices"
	"sync/atomic"
)

// Counts are how many requests met the conditions of one set. They are safe for concurrent
// use.
type Counts struct {
	// Requests is how many were compared with every condition, and All how many of these
	// met every one.
	Requests, All atomic.Uint64
	// Met is how many met each condition, in the order of the set. If a reader loads All and
	// Met first, neither is more than Requests.
	Met []atomic.Uint64
}

// NewCounts returns the Counts of a set with so many conditions.
func NewCounts(conditions int) *Counts { return &Counts{Met: make([]atomic.Uint64, conditions)} }

// Count compares a request with every condition of the first sets of the Table, as many as
// there are Counts, and counts what it met. That costs more than Find, which compares a
// request with few conditions. It allocates nothing.
func (t *Table) Count(r *Request, counts []*Counts) {
	s := t.scratches.Get().(*scratch)
	t.subjects.read(r, s)
	for set, c := range counts {
		c.Requests.Add(1)
		all := true
		for i := range t.sets[set] {
			if test := &t.sets[set][i]; slices.ContainsFunc(s.values[test.subject], test.pattern.meets) {
				c.Met[i].Add(1)
			} else {
				all = false
			}
		}
		if all {
			c.All.Add(1)
		}
	}
	s.reset()
	t.scratches.Put(s)
}
