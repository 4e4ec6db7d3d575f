//go:build linux

package exchange

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/kubectl-intercept/kubectl-intercept/test/http/corpus"
)

// Dial opens a connection to a server.
type Dial func(context.Context) (*net.TCPConn, error)

// Known are the outcomes that a server has had, by the name of the stream.
type Known map[string][]Outcome

// Difference is an outcome that is none of those known.
type Difference struct {
	Stream corpus.Stream
	Known  []Outcome
	Got    Outcome
}

// String tells a difference in two lines.
func (d Difference) String() string {
	return fmt.Sprintf("%s: %s, and known is %s\n\t%s", d.Stream.Name, d.Got, d.Known[0], Diff(d.Got, d.Known[0]))
}

// Lost says that the difference is only what a reset of the server may take from an answer.
func (d Difference) Lost() bool {
	return d.Got.reset && slices.ContainsFunc(d.Known, func(o Outcome) bool { return strings.HasPrefix(o.Answer, d.Got.Answer) })
}

// atOnce is how many connections are open at once.
const atOnce = 24

// Learn returns the outcome of each stream. It waits longer for a server that says
// nothing at first: the machine may be busy.
func (k Caller) Learn(ctx context.Context, dial Dial, streams []corpus.Stream) (Known, error) {
	var mu sync.Mutex
	known := Known{}
	return known, forEach(streams, func(s corpus.Stream) error {
		o, err := k.ask(ctx, dial, s)
		if longer := k; err == nil && o.silent() {
			longer.Quiet *= patient
			o, err = longer.ask(ctx, dial, s)
		}
		mu.Lock()
		defer mu.Unlock()
		known[s.Name] = append(known[s.Name], o)
		return err
	})
}

// patient is how much longer Learn waits for a server that has said nothing.
const patient = 6

// ask returns the outcome of a stream.
func (k Caller) ask(ctx context.Context, dial Dial, s corpus.Stream) (Outcome, error) {
	c, err := dial(ctx)
	if err != nil {
		return Outcome{}, err
	}
	return k.Talk(ctx, c, s, nil), nil
}

// Compare returns the streams whose outcome is none of those known.
func (k Caller) Compare(ctx context.Context, dial Dial, streams []corpus.Stream, known Known) ([]Difference, error) {
	var mu sync.Mutex
	var differences []Difference
	err := forEach(streams, func(s corpus.Stream) error {
		c, err := dial(ctx)
		if err != nil {
			return err
		}
		outcomes := known[s.Name]
		got := k.Talk(ctx, c, s, &outcomes[0])
		if slices.ContainsFunc(outcomes, got.Same) {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		differences = append(differences, Difference{s, outcomes, got})
		return nil
	})
	return differences, err
}

// Again returns those differences that are there each time. Where bytes arrive in other
// pieces once, since the machine is busy, the way makes no difference.
func (k Caller) Again(ctx context.Context, dial Dial, differences []Difference, known Known) ([]Difference, error) {
	for range moreTimes {
		var streams []corpus.Stream
		for _, d := range differences {
			streams = append(streams, d.Stream)
		}
		var err error
		if differences, err = k.Compare(ctx, dial, streams, known); err != nil {
			return nil, err
		}
	}
	return differences, nil
}

// moreTimes is how often Again asks.
const moreTimes = 3

// Confirm returns those differences that are none of the server's own. A server may
// answer differently from one time to the next, and when bytes arrive in other pieces:
// Confirm asks it several times more, waits longer each time, and sends heads apart.
func (k Caller) Confirm(ctx context.Context, direct Dial, differences []Difference) ([]Difference, error) {
	k.Pause = 10 * settled // on a busy machine, too
	for n := range 4 {
		var streams []corpus.Stream
		for _, d := range differences {
			if n%2 == 0 {
				streams = append(streams, d.Stream.Apart())
			} else {
				streams = append(streams, d.Stream)
			}
		}
		k.Quiet *= 2
		more, err := k.Learn(ctx, direct, streams)
		if err != nil {
			return nil, err
		}
		differences = slices.DeleteFunc(differences, func(d Difference) bool { return slices.ContainsFunc(more[d.Stream.Name], d.Got.Same) })
	}
	slices.SortFunc(differences, func(a, b Difference) int { return cmp.Compare(a.Stream.Name, b.Stream.Name) })
	return differences, nil
}

// forEach calls f with every stream, several at once, and returns the first error.
func forEach(streams []corpus.Stream, f func(corpus.Stream) error) error {
	var all sync.WaitGroup
	var once sync.Once
	var failed error
	next := make(chan corpus.Stream)
	for range atOnce {
		all.Go(func() {
			for s := range next {
				if err := f(s); err != nil {
					once.Do(func() { failed = fmt.Errorf("%s: %w", s.Name, err) })
				}
			}
		})
	}
	for _, s := range streams {
		next <- s
	}
	close(next)
	all.Wait()
	return failed
}
