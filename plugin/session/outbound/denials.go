package outbound

import (
	"slices"
	"sync"
	"time"
)

// maxDenials bounds what Denials remembers.
const maxDenials = 16

// Denial is a target that the session's user may not dial.
type Denial struct {
	// Target is what was dialed, "10.96.2.1:80".
	Target string `json:"target"`
	// Reason says which permission is missing, in the traffic-manager's words.
	Reason string `json:"reason"`
	// Count is how often it was dialed, Last when it was for the last time.
	Count int       `json:"count"`
	Last  time.Time `json:"last"`
}

// Denials remembers the latest denials. The zero value is empty and ready; it is safe
// for concurrent use. A nil one remembers nothing.
type Denials struct {
	mu   sync.Mutex
	list []Denial // the latest first
}

// Note remembers that target was denied with err.
func (d *Denials) Note(target string, err error, now time.Time) {
	if d == nil {
		return
	}
	n := Denial{Target: target, Reason: err.Error(), Count: 1, Last: now}
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.IndexFunc(d.list, func(x Denial) bool { return x.Target == n.Target && x.Reason == n.Reason }); i >= 0 {
		n.Count += d.list[i].Count
		d.list = slices.Delete(d.list, i, i+1)
	}
	d.list = slices.Insert(d.list, 0, n)
	d.list = d.list[:min(len(d.list), maxDenials)]
}

// List returns the denials, the latest first.
func (d *Denials) List() []Denial {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.list)
}
