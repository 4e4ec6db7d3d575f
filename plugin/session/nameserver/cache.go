package nameserver

import (
	"sync"
	"time"
)

// Bounds of the cache. An entry counts as what it takes in memory, roughly.
const (
	cacheEntries = 10_000
	cacheBytes   = 8 << 20
	entryBytes   = 300
)

// cache holds answers; those not used for longest make room for new ones.
type cache struct {
	mu      sync.Mutex
	entries map[string]*entry
	recent  entry // the ring's head: next was used last
	bytes   int
	maxN    int
	maxB    int
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
	age, ok := e.fresh(now)
	if !ok {
		c.drop(e)
		return nil, 0
	}
	e.unlink()
	c.front(e)
	return e, age
}

// put keeps an answer as long as it may be kept.
func (c *cache) put(key string, e *entry) {
	if e.life <= 0 {
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

// carry takes over what keep says of another cache's.
func (c *cache) carry(from *cache, keep func(*entry) bool) {
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

func (e *entry) bytes() int { return entryBytes + len(e.key) + len(e.wire) + 2*len(e.ttls) }
