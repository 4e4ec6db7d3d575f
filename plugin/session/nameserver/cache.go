package nameserver

import (
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/nameserver/wire"
)

// Bounds of the cache. An entry counts as what it takes in memory, roughly.
const (
	cacheEntries = 10_000
	cacheBytes   = 8 << 20
	entryBytes   = 300
)

// cache holds answers. When it is full, those go that were not used for longest.
type cache struct {
	mu      sync.Mutex
	entries map[string]*entry
	recent  entry // the ring's head: next was used last
	bytes   int
	maxN    int
	maxB    int
}

// entry is an answer in the cache.
type entry struct {
	answer *wire.Answer
	route  names.Route // where it is from, for a change of configuration
	alias  bool        // a mapping had a part in it

	key        string
	prev, next *entry
}

func newCache(entries, bytes int) *cache {
	c := &cache{entries: map[string]*entry{}, maxN: entries, maxB: bytes}
	c.recent.next, c.recent.prev = &c.recent, &c.recent
	return c
}

// get returns an answer and its age in seconds, or nil.
func (c *cache) get(key []byte, now time.Time) (*entry, uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[string(key)]
	if e == nil {
		return nil, 0
	}
	age, ok := e.answer.Age(now)
	if !ok {
		c.drop(e)
		return nil, 0
	}
	e.unlink()
	c.front(e)
	return e, age
}

// put keeps an answer as long as it may be kept. It owns e.
func (c *cache) put(key string, e *entry) {
	if e.answer.Life <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.entries[key]; old != nil {
		c.drop(old)
	}
	e.key = key
	c.entries[key] = e
	c.front(e)
	c.bytes += e.bytes()
	for len(c.entries) > c.maxN || c.bytes > c.maxB {
		c.drop(c.recent.prev)
	}
}

// copyFrom takes over the entries of another cache for which keep is true.
func (c *cache) copyFrom(from *cache, keep func(*entry) bool) {
	from.mu.Lock()
	defer from.mu.Unlock()
	for e := from.recent.prev; e != &from.recent; e = e.prev {
		if keep(e) {
			own := *e
			c.put(e.key, &own)
		}
	}
}

func (c *cache) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.entries)
}

func (c *cache) front(e *entry) {
	e.next, e.prev = c.recent.next, &c.recent
	e.next.prev, e.prev.next = e, e
}

func (c *cache) drop(e *entry) {
	e.unlink()
	delete(c.entries, e.key)
	c.bytes -= e.bytes()
}

func (e *entry) unlink() { e.next.prev, e.prev.next = e.prev, e.next }

func (e *entry) bytes() int { return entryBytes + len(e.key) + e.answer.Size() }
