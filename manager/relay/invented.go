package relay

import (
	"sync"
	"time"
)

const (
	// inventedLife is how long a name is remembered of which the API server has said that
	// there is no such Session. A laptop whose Session is not there makes one with another
	// name.
	inventedLife = 5 * time.Second
	// inventedMax bounds how many names are remembered.
	inventedMax = 4096
)

// invented are names of Sessions that do not exist. It is safe for concurrent use.
type invented struct {
	mu    sync.Mutex
	until map[string]time.Time
}

func newInvented() *invented { return &invented{until: map[string]time.Time{}} }

func (n *invented) has(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Now().Before(n.until[name])
}

// add remembers a name. If there are too many, it remembers those that are still good, or
// else nothing but this one: a name that is not remembered costs a request.
func (n *invented) add(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if len(n.until) >= inventedMax {
		for other, until := range n.until {
			if !now.Before(until) {
				delete(n.until, other)
			}
		}
		if len(n.until) >= inventedMax {
			clear(n.until)
		}
	}
	n.until[name] = now.Add(inventedLife)
}

func (n *invented) forget(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.until, name)
}
