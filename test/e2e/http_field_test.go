//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
	"github.com/kubectl-intercept/kubectl-intercept/test/http/corpus"
	"github.com/kubectl-intercept/kubectl-intercept/test/http/exchange"
)

// field is a set of applications in a cluster, and what is known of them from direct
// calls.
type field struct {
	l       *lab.Lab
	talker  exchange.Caller
	apps    []*app
	callers []caller
	streams []corpus.Stream

	mu      sync.Mutex
	known   map[string]exchange.Known // by application
	printed map[caller][]string
	whole   map[string]int // how many bytes of a stream the application has received
	found   map[*app][]exchange.Difference
	said    map[caller]string // what differs from what was printed
	lost    []string          // what the application received otherwise, by stream
	began   time.Time
}

func newField(l *lab.Lab) *field {
	return &field{
		l: l, apps: apps(), callers: callers(), streams: append(corpus.Good(), corpus.Bad()...),
		// Only the first answers depend on how fast the machine is, and confirm asks again.
		talker: exchange.Caller{Quiet: 400 * time.Millisecond, Limit: 10 * time.Second},
		known:  map[string]exchange.Known{}, printed: map[caller][]string{}, began: time.Now(),
	}
}

// serving waits until every port accepts connections of a caller on a node.
func (f *field) serving() {
	f.l.Helper()
	for _, a := range f.apps {
		for _, port := range a.ports {
			addr := a.address(f.l, port)
			f.l.Until(a.name+" accepts connections", func() error {
				c, err := f.l.Nodes[0].Dial(f.l.Context(), "tcp", addr)
				if err == nil {
					c.Close()
				}
				return err
			})
		}
	}
}

// each calls work with every application that the corpus is for, at once.
func (f *field) each(work func(*app) error) {
	f.l.Helper()
	var all sync.WaitGroup
	for _, a := range f.apps {
		if a.http1 {
			all.Go(func() {
				if err := work(a); err != nil {
					f.l.Errorf("%s: %v", a.name, err)
				}
			})
		}
	}
	all.Wait()
	if f.l.Failed() {
		f.l.FailNow()
	}
}

// learn keeps what the applications answer and what callers print.
func (f *field) learn() {
	f.l.Helper()
	f.each(func(a *app) error {
		known, err := f.talker.Learn(f.l.Context(), f.dial(a), f.streams)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.known[a.name] = known
		return err
	})
	f.phase("the answers are known")
	f.call(f.callers, func(c caller, printed string) { f.printed[c] = append(f.printed[c], printed) })
	f.phase("what callers print is known")
	f.receive()
	f.phase("what is received is known")
}

// phase tells how long a part of the test took.
func (f *field) phase(done string) {
	f.l.T.Logf("%s: %s", done, time.Since(f.began).Round(100*time.Millisecond))
	f.began = time.Now()
}

// compare keeps what differs from what is known.
func (f *field) compare() {
	f.l.Helper()
	f.found, f.said, f.lost = map[*app][]exchange.Difference{}, map[caller]string{}, nil
	f.each(func(a *app) error {
		differences, err := f.talker.Compare(f.l.Context(), f.dial(a), f.streams, f.known[a.name])
		if err == nil {
			differences, err = f.talker.Again(f.l.Context(), f.dial(a), differences, f.known[a.name])
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.found[a] = differences
		return err
	})
	f.phase("the answers are compared")
	f.call(f.callers, func(c caller, printed string) {
		if !slices.Contains(f.printed[c], printed) {
			f.said[c] = printed
		}
	})
	for range 3 { // what differs once is not the agent's
		f.call(slices.Collect(maps.Keys(f.said)), func(c caller, printed string) {
			if slices.Contains(f.printed[c], printed) {
				delete(f.said, c)
			}
		})
	}
	f.phase("what callers print is compared")
	f.receive()
	f.phase("what is received is compared")
}

// confirm drops those differences that applications and callers have without an agent.
func (f *field) confirm() {
	f.l.Helper()
	f.each(func(a *app) error {
		differences, err := f.talker.Confirm(f.l.Context(), f.dial(a), f.found[a])
		f.mu.Lock()
		defer f.mu.Unlock()
		f.found[a] = differences
		return err
	})
	for range 3 {
		f.call(slices.Collect(maps.Keys(f.said)), func(c caller, printed string) {
			f.printed[c] = append(f.printed[c], printed)
			if f.said[c] == printed {
				delete(f.said, c)
			}
		})
	}
	f.phase("the differences are confirmed")
}

func (f *field) dial(a *app) exchange.Dial {
	return dialer(f.l.Nodes[0], a.address(f.l, 8080))
}

// call runs callers, those of several applications at once.
func (f *field) call(callers []caller, note func(c caller, printed string)) {
	f.l.Helper()
	var node string
	for _, p := range f.l.Pods() {
		if p.Labels["app"] == "node" {
			// Node does not run without the files that it looks for in /usr/share.
			node = "NODE=" + f.l.Files(&p, "site.js") + " /usr/bin/node"
		}
	}
	var all sync.WaitGroup
	for _, a := range f.apps {
		all.Go(func() {
			for _, c := range callers {
				if c.app != a.name {
					continue
				}
				printed := c.call(f.l, "A="+a.address(f.l, c.port), node)
				f.mu.Lock()
				note(c, printed)
				f.mu.Unlock()
			}
		})
	}
	all.Wait()
}

// receive sends each stream to the application that keeps what it receives, and compares
// that with what was sent. The first time it keeps how much the application reads: a
// server that closes early has received a part, which may differ from time to time.
func (f *field) receive() {
	f.l.Helper()
	first := f.whole == nil
	if first {
		f.whole = map[string]int{}
	}
	var site *app
	for _, a := range f.apps {
		if a.name == "go" {
			site = a
		}
	}
	client, tap := f.l.Nodes[0].HTTP(), "http://"+site.address(f.l, 8079)
	client.Timeout = lab.Patience
	defer client.CloseIdleConnections()
	received := func() (all [][]byte) {
		resp, err := client.Get(tap)
		f.l.Must(err)
		defer resp.Body.Close()
		f.l.Must(json.NewDecoder(resp.Body).Decode(&all))
		// The kubelet's probes send nothing.
		return slices.DeleteFunc(all, func(b []byte) bool { return len(b) == 0 })
	}
	received() // of what came before
	// The end of the caller's side has the server read all, whatever it has said by then.
	talker := exchange.Caller{Quiet: f.talker.Quiet, Limit: time.Second}
	once := func(s corpus.Stream) (lost string) {
		c, err := f.dial(site)(f.l.Context())
		f.l.Must(err)
		want := f.known[site.name][s.Name][0]
		o := talker.Talk(f.l.Context(), c, s, &want)
		sent, got := []byte(s.Sent()), bytes.Join(received(), []byte("<another connection>"))
		if first && o.End != exchange.Closed {
			f.whole[s.Name] = len(got)
		}
		if !bytes.HasPrefix(sent, got) || len(got) < f.whole[s.Name] {
			at := 0
			for at < min(len(sent), len(got)) && sent[at] == got[at] {
				at++
			}
			return fmt.Sprintf("%s\t%d bytes were sent and %d received; from byte %d: %q, and %q", s.Name, len(sent), len(got), at, sent[at:min(at+60, len(sent))], got[at:min(at+60, len(got))])
		}
		return ""
	}
	for _, s := range f.streams {
		lost := once(s)
		for range 3 {
			if lost != "" {
				lost = once(s)
			}
		}
		if lost != "" {
			f.lost = append(f.lost, lost)
		}
	}
}

// differences returns what was found, by the two words that the table has for it.
func (f *field) differences() map[string]string {
	all := map[string]string{}
	for a, differences := range f.found {
		for _, d := range differences {
			// Python's server closes with bytes unread, which resets the connection.
			if a.name != "python" || !d.Lost() {
				all[a.name+" "+d.Stream.Name] = d.String()
			}
		}
	}
	for c, printed := range f.said {
		all[c.app+" "+c.name] = "what it printed differs " + exchange.Diff(exchange.Outcome{Answer: printed}, exchange.Outcome{Answer: f.printed[c][0]})
	}
	for _, line := range f.lost {
		name, text, _ := strings.Cut(line, "\t")
		all["received "+name] = text
	}
	return all
}

// httpTable is what differs through an agent, and why.
const httpTable = "testdata/http-differences.txt"

// unsteady begins the reason of a line for what is different from one time to the next,
// even directly.
const unsteady = "unsteady:"

// check fails the test for each difference that the table does not have, and for each
// line of the table that makes none. Without an agent, lines are for unsteady ones only.
func (f *field) check(agent bool) {
	f.l.Helper()
	text, err := os.ReadFile(httpTable)
	f.l.Must(err)
	reasons := map[string]string{}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) > 2 && words[0] != "#" && (agent || words[2] == unsteady) {
			reasons[words[0]+" "+words[1]] = words[2]
		}
	}
	differences := f.differences()
	met := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(differences)) {
		_, stream, _ := strings.Cut(key, " ")
		met[key], met["* "+stream] = true, true
		if reasons[key] == "" && reasons["* "+stream] == "" {
			f.l.Errorf("%s has no line in %s: %s", key, httpTable, differences[key])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(reasons)) {
		if !met[key] && reasons[key] != unsteady {
			f.l.Errorf("%s has a line in %s, and makes no difference", key, httpTable)
		}
	}
}
