package http2

import "time"

// What a peer may send of frames that cost us more than they cost the peer, or that
// carry nothing: so many at once, and so many each second. Work earns it more.
const (
	patienceBurst  = 1000
	patienceSecond = 100
)

// patience counts the frames of a peer by which it could keep us busy: PING, SETTINGS,
// PRIORITY, unknown and empty ones, and resets of requests that were not answered
// (CVE-2023-44487). A peer gets more of it by time, and by frames that do carry something.
// The zero value is full.
type patience struct {
	spent int
	last  time.Time
}

// spend says whether one more frame is all right.
func (p *patience) spend(now time.Time) bool {
	if p.spent++; p.spent <= patienceBurst {
		return true
	}
	if p.last.IsZero() {
		p.last = now.Add(-time.Second)
	}
	back := int(now.Sub(p.last) * patienceSecond / time.Second)
	if back > 0 {
		p.spent, p.last = max(p.spent-back, 0), now
	}
	return p.spent <= patienceBurst
}

// earn gives one frame back.
func (p *patience) earn() { p.spent = max(p.spent-1, 0) }
