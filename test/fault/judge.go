package fault

import (
	"fmt"
	"time"
)

// application is the name that the application answers with, which has what no intercept takes.
const application = "the cluster"

// figures are what one round showed.
type figures struct {
	Requests int     `json:"requests"`
	InFlight int     `json:"inFlight"`                 // requests without an answer that had begun when the fault was there
	Dying    int     `json:"dying"`                    // of these, those that began between a signal and the death of a process
	Lost     int     `json:"lost"`                     // the other ones of callers in the cluster
	LastLost float64 `json:"lastLostMillis,omitempty"` // when the last of these began, after the fault
	Astray   int     `json:"astray"`                   // requests answered by whoever should not have had them
	Outbound int     `json:"outboundFailed"`

	Gone     *float64 `json:"redirectGoneMillis,omitempty"`  // nil: the application was not asked
	Again    *float64 `json:"servingAgainMillis,omitempty"`  // nil: the laptop answered throughout
	Reached  *float64 `json:"outboundAgainMillis,omitempty"` // nil: nothing outbound failed
	Damaged  int64    `json:"damagedBytes"`
	Moved    int64    `json:"bulkBytes"`
	Asked    int64    `json:"datagrams"`
	Echoed   int64    `json:"datagramsAnswered"`
	Examples []string `json:"examples,omitempty"` // of what was lost
}

// maxExamples is how many lost requests a round describes.
const maxExamples = 3

// judge counts what a round showed.
func (r *round) judge(laptop string) figures {
	f := figures{Requests: len(r.results), Damaged: r.damaged, Moved: r.moved, Asked: r.asked, Echoed: r.echoed}
	for _, res := range r.results {
		switch {
		case res.err == nil:
			expected := res.who == application || res.who == laptop && (res.stream == whole || res.stream == mine)
			if !expected {
				f.Astray++
			}
		case res.began.Before(r.struck) && !res.ended.Before(r.struck):
			f.InFlight++
		case res.began.Before(r.fault) && !res.ended.Before(r.struck):
			f.Dying++
			f.InFlight++
		case res.stream == outbound:
			f.Outbound++
		default:
			f.Lost++
			f.LastLost = max(f.LastLost, millis(res.began.Sub(r.fault)))
			if len(f.Examples) < maxExamples {
				had := ""
				if res.reached {
					had = ", and the laptop had it"
				}
				f.Examples = append(f.Examples, fmt.Sprintf("%s, %s after the fault, for %s%s: %v", res.stream,
					res.began.Sub(r.fault).Round(time.Millisecond), res.ended.Sub(res.began).Round(time.Millisecond), had, res.err))
			}
		}
	}
	f.Gone, f.Again = r.handed(laptop)
	f.Reached = r.reached()
	return f
}

// handed is when the application answered what the laptop had answered, and when the laptop
// did so again.
func (r *round) handed(laptop string) (gone, again *float64) {
	var last time.Time // when the last request began that the laptop did not answer
	var failed bool
	for _, res := range r.results {
		if res.stream != whole || res.began.Before(r.fault) || res.who == laptop {
			continue
		}
		if res.who == application {
			if ms := millis(res.ended.Sub(r.fault)); gone == nil || ms < *gone {
				gone = &ms
			}
		}
		failed = true
		if res.began.After(last) {
			last = res.began
		}
	}
	if !failed {
		return nil, nil
	}
	for _, res := range r.results {
		if res.stream == whole && res.who == laptop && res.began.After(last) {
			ms := millis(max(0, res.ended.Sub(r.base)))
			if again == nil || ms < *again {
				again = &ms
			}
		}
	}
	return gone, again
}

// reached is when the laptop reached the cluster again.
func (r *round) reached() (again *float64) {
	var last time.Time
	for _, res := range r.results {
		if res.stream == outbound && res.err != nil && res.began.After(last) && !res.began.Before(r.fault) {
			last = res.began
		}
	}
	if last.IsZero() {
		return nil
	}
	for _, res := range r.results {
		if res.stream == outbound && res.err == nil && res.began.After(last) {
			ms := millis(max(0, res.ended.Sub(r.base)))
			if again == nil || ms < *again {
				again = &ms
			}
		}
	}
	return again
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
