package forward

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// tally is how the requests of a port compare with the match of a route, since the route
// has this match.
type tally struct {
	match      *rpc.Match
	conditions match.Conditions
	before     uint64 // the port's requests before the tally
	taken      atomic.Uint64
	passed     atomic.Int64 // when the first request came that the route did not take, in Unix milliseconds
	counts     *match.Counts

	mu   sync.Mutex
	last *rpc.Comparison // as reported
}

// newTally returns the tally of a route that follows a table. It goes on if the intercept
// had a route with the same conditions.
func (p *Port) newTally(r *Route, sent *rpc.Match, before *table) *tally {
	for _, old := range before.routes {
		if old.UID == r.UID && old.tally != nil && slices.Equal(old.tally.conditions, *r.conditions) {
			return old.tally
		}
	}
	return &tally{match: sent, conditions: *r.conditions, before: p.seen.requests.Load(), counts: match.NewCounts(len(*r.conditions))}
}

// report is how the requests compare. As long as little has changed it is the last report,
// so that traffic which is not about the route hardly makes reports.
func (t *tally) report(s *seen) *rpc.Comparison {
	t.mu.Lock()
	defer t.mu.Unlock()
	// What is counted first for a request is loaded last, so that no number is too small for
	// another.
	now := &rpc.Comparison{Match: t.match, PassedSince: t.passed.Load(), MetAll: t.counts.All.Load()}
	for i := range t.counts.Met {
		now.Met = append(now.Met, t.counts.Met[i].Load())
	}
	now.Compared = t.counts.Requests.Load()
	now.Taken = t.taken.Load()
	now.Requests = s.requests.Load() - t.before
	if now.Taken == 0 && now.PassedSince != 0 {
		now.Headers = s.headers()
	}
	if t.last == nil || differs(t.last, now) {
		t.last = now
	}
	return t.last
}

// differs says that a report has news after the last one.
func differs(last, now *rpc.Comparison) bool {
	for i := range now.Met {
		if (now.Met[i] == 0) != (last.Met[i] == 0) {
			return true
		}
	}
	return now.Taken != last.Taken || now.PassedSince != last.PassedSince || len(now.Headers) != len(last.Headers) ||
		(now.MetAll == 0) != (last.MetAll == 0) || now.Requests > last.Requests+last.Requests/4
}

// passedNow notes when the first request came that the route did not take.
func (t *tally) passedNow() {
	if t.passed.Load() == 0 {
		t.passed.CompareAndSwap(0, time.Now().UnixMilli())
	}
}
