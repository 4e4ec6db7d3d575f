// Package traffic is what the traffic-manager answers when a session asks who moves how much.
package traffic

import (
	"cmp"
	"slices"
)

// Interval is over how many seconds rates are taken.
const Interval = 1

// Report is the answer.
type Report struct {
	// Entries are those of every session, or of the user's own.
	Entries []Entry `json:"entries"`
	// Everybody says that the user may list Sessions, so that all are here.
	Everybody bool `json:"everybody"`
	// Missing are replicas that did not answer, and why.
	Missing []string `json:"missing,omitempty"`
}

// Entry is what one session moves for one intercept, or for the programs on its laptop, in
// one direction and by one way. Counts begin when the session connected.
type Entry struct {
	User    string `json:"user"`
	Host    string `json:"host,omitempty"`
	Session string `json:"session"`
	// Intercept is "namespace/name"; empty for flows that the traffic-manager dials.
	Intercept string `json:"intercept,omitempty"`
	// Direction is that of the flows, inbound or outbound.
	Direction string `json:"direction"`
	// Way is carrier or line.
	Way string `json:"way"`
	// Transport is how the session's youngest carrier passes the API server.
	Transport string `json:"transport"`
	// Flows are open. They are absent on lines between agent and session, which nobody
	// else can read; at most one flow at a time is on each of the Lines.
	Flows *int64 `json:"flows,omitempty"`
	Lines int64  `json:"lines,omitempty"`
	// Down are bytes to the laptop, Up those from it. The rates are per second.
	Down     int64 `json:"bytesDown"`
	Up       int64 `json:"bytesUp"`
	DownRate int64 `json:"bytesDownPerSecond"`
	UpRate   int64 `json:"bytesUpPerSecond"`
}

// subject is what an entry is about.
func (e *Entry) subject() Entry {
	return Entry{User: e.User, Session: e.Session, Intercept: e.Intercept, Direction: e.Direction, Way: e.Way}
}

// Merge returns the entries of several replicas, one for each subject, in order.
func Merge(lists ...[]Entry) []Entry {
	at := map[Entry]int{}
	merged := []Entry{}
	for _, e := range slices.Concat(lists...) {
		k, there := at[e.subject()]
		if !there {
			at[e.subject()] = len(merged)
			merged = append(merged, e)
			continue
		}
		m := &merged[k]
		if e.Flows != nil && m.Flows != nil {
			sum := *m.Flows + *e.Flows
			m.Flows = &sum
		}
		m.Lines += e.Lines
		m.Down, m.Up, m.DownRate, m.UpRate = m.Down+e.Down, m.Up+e.Up, m.DownRate+e.DownRate, m.UpRate+e.UpRate
	}
	slices.SortFunc(merged, Compare)
	return merged
}

// Compare orders entries by what they are about.
func Compare(a, b Entry) int {
	return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Session, b.Session),
		cmp.Compare(a.Intercept, b.Intercept), cmp.Compare(a.Direction, b.Direction), cmp.Compare(a.Way, b.Way))
}
