package fault

import (
	"sync"
	"time"
)

// stream is a kind of requests.
type stream string

// Streams.
const (
	whole    stream = "whole"
	mine     stream = "mine"
	others   stream = "others"
	outbound stream = "outbound"
)

// flows are the names of the bulk flows.
var flows = [...]string{"bulk to the laptop", "bulk from the laptop"}

// result is a request that has ended.
type result struct {
	stream       stream
	began, ended time.Time
	who          string // who answered; empty with err
	err          error
	reached      bool // the program on the laptop had it
}

// recorder notes what happens to the load during a round, and nothing between rounds.
type recorder struct {
	mu      sync.Mutex
	round   *round
	reached map[string]bool // IDs of requests that the program on the laptop had
}

// round is one injection of one fault.
type round struct {
	struck  time.Time // when it began to come; zero before
	fault   time.Time // when it was there; zero before
	base    time.Time // from when the laptop can be expected to answer; zero before
	results []result
	open    int              // requests that have not ended
	over    bool             // no more requests begin
	damaged int64            // bytes
	moved   int64            // bytes of the bulk flows
	since   map[string]int64 // the same by flow, since base
	asked   int64            // datagrams
	echoed  int64
}

// open begins a round.
func (r *recorder) open() *round {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.round = &round{since: map[string]int64{}}
	r.reached = map[string]bool{}
	return r.round
}

// end has no more requests begin in the round, and says whether all of them have ended.
func (r *recorder) end() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.round == nil {
		return true
	}
	r.round.over = true
	return r.round.open == 0
}

// close ends the round.
func (r *recorder) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.round = nil
}

// with calls f with the current round, if there is one.
func (r *recorder) with(f func(*round)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.round != nil {
		f(r.round)
	}
}

// begin returns the round in which a request begins; nil between rounds.
func (r *recorder) begin() *round {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.round == nil || r.round.over {
		return nil
	}
	r.round.open++
	return r.round
}

// reach notes that the program on the laptop has a request.
func (r *recorder) reach(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.round != nil {
		r.reached[id] = true
	}
}

// note adds a request that has ended and began in round in.
func (r *recorder) note(in *round, id string, res result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if in == nil || r.round != in {
		return
	}
	in.open--
	res.reached = r.reached[id]
	delete(r.reached, id)
	in.results = append(in.results, res)
}

// expect begins to wait for the laptop to answer.
func (r *recorder) expect() {
	r.with(func(in *round) { in.base, in.since = time.Now(), map[string]int64{} })
}

// settledAfter is how many answers in a row show that a stream works again, and how long
// after base they are looked at: what a fault does may show late.
const (
	settledAfter = 15
	lookedAt     = 1500 * time.Millisecond
)

// settled says which part of the load does not work since base; empty if all of it does.
func (r *recorder) settled(laptop string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.round == nil {
		return "no round"
	}
	if over := time.Since(r.round.base); over < lookedAt {
		return "it is too early to say"
	}
	row := map[stream]int{}
	last := map[stream]string{}
	for _, res := range r.round.results {
		want := laptop
		if res.stream == others || res.stream == outbound {
			want = application
		}
		switch {
		case res.began.Before(r.round.base):
		case res.who == want:
			row[res.stream]++
		default:
			row[res.stream] = 0
			last[res.stream] = "answered by " + res.who
			if res.err != nil {
				last[res.stream] = res.err.Error()
			}
		}
	}
	for _, s := range []stream{whole, mine, others, outbound} {
		if row[s] < settledAfter {
			return string(s) + ": " + last[s]
		}
	}
	for _, flow := range flows {
		if r.round.since[flow] == 0 {
			return flow + " stands still"
		}
	}
	return ""
}
