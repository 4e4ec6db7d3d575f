//go:build linux

package fault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// Options are what a run does.
type Options struct {
	Times int            // how often each fault is injected
	Only  *regexp.Regexp // which faults, by name; nil for all
	Short bool           // only the quick ones, with one leave at the end
	Seed  uint64         // of the moments between faults
	// Handshakes is how many forged ones there are; 0 for none.
	Handshakes int
}

// Run injects faults in the Lab's cluster, with the agent in both modes. The cluster must
// have three traffic-managers. What cannot be injected fails a round and not the run.
// Report has what there is, also when the test ends in the middle.
func Run(l *lab.Lab, o Options, report *Report) {
	l.Helper()
	report.Seed = o.Seed
	report.Notes = append(report.Notes, clockNote)
	for _, mode := range []string{Ephemeral, Sidecar} {
		run(l, mode, o, report)
	}
	if gates := o.Handshakes; gates > 0 && (o.Only == nil || o.Only.MatchString(handshakesName)) {
		report.Counts = append(report.Counts, handshakes(l, gates)...)
	}
}

// run injects the faults in one mode.
func run(l *lab.Lab, mode string, o Options, report *Report) {
	l.Helper()
	chosen := slices.DeleteFunc(faults(), func(f fault) bool {
		return o.Short && !f.quick || o.Only != nil && !o.Only.MatchString(f.name)
	})
	if len(chosen) == 0 {
		return
	}
	ctx, stop := context.WithCancel(l.Context())
	s, wait := open(ctx, l.Another(), mode)
	defer wait()
	defer stop()
	pauses := rand.New(rand.NewPCG(o.Seed, 0))
	for i, f := range chosen {
		row := &Row{Fault: f.name, Mode: mode, Known: f.known[mode]}
		report.Rows = append(report.Rows, row)
		for n := range o.Times {
			began := time.Now()
			figures, err := s.round(ctx, f, time.Duration(pauses.IntN(500))*time.Millisecond)
			if err != nil {
				row.Failed = append(row.Failed, fmt.Sprintf("round %d: %v", n+1, err))
			}
			if figures != nil {
				row.Rounds = append(row.Rounds, *figures)
				l.Logf("%s, %s, round %d in %s: %d requests, %d in flight, %d lost %q", f.name, mode, n+1, time.Since(began).Round(time.Millisecond),
					figures.Requests, figures.InFlight, figures.Lost, figures.Examples)
			}
			if err != nil {
				l.Logf("%s, %s, round %d: %v", f.name, mode, n+1, err)
			}
			if len(row.Failed) > mostFailed {
				break
			}
		}
		if last := i == len(chosen)-1; last || !o.Short {
			row.Left = s.leave(ctx)
			if !last {
				s.join()
			}
		}
	}
}

// mostFailed is after how many rounds that do not come to an end a fault is given up.
const mostFailed = 3

// round injects a fault once. It returns figures also with an error, if the fault was there.
func (s *scene) round(ctx context.Context, f fault, pause time.Duration) (*figures, error) {
	if err := s.steady(ctx); err != nil {
		return nil, err
	}
	in := s.rec.open()
	defer s.rec.close()
	if err := wait(ctx, pause); err != nil {
		return nil, err
	}
	s.rec.with(func(r *round) { r.struck = time.Now() })
	at, err := f.inject(s, ctx)
	if err != nil {
		return nil, fmt.Errorf("inject: %w", err)
	}
	s.rec.expect()
	s.rec.with(func(r *round) { r.fault, r.base = at, at })
	err = s.overcome(ctx, f)
	// What still waits is judged too: it may wait for what is gone.
	err = errors.Join(err, until(ctx, requestLimit+5*time.Second, s.ended))
	var got figures
	s.rec.with(func(*round) { got = in.judge(user) })
	s.rec.close()
	if f.after != nil {
		err = errors.Join(err, f.after(s, ctx))
	}
	return &got, err
}

// overcome waits until a fault that is there has been overcome.
func (s *scene) overcome(ctx context.Context, f fault) error {
	if err := wait(ctx, f.lasts); err != nil {
		return err
	}
	var unanswered error
	if f.dark {
		unanswered = until(ctx, lab.Patience, s.answeredByApplication)
	}
	if f.heal != nil {
		var before time.Time
		s.rec.with(func(r *round) { before = r.base })
		if err := f.heal(s, ctx); err != nil {
			return errors.Join(unanswered, fmt.Errorf("heal: %w", err))
		}
		s.rec.with(func(r *round) {
			if r.base.Equal(before) { // heal did not say
				r.base, r.since = time.Now(), map[string]int64{}
			}
		})
	}
	return errors.Join(unanswered, s.settles(ctx))
}

// ended is an error while requests of the round wait.
func (s *scene) ended() error {
	if !s.rec.end() {
		return errors.New("requests wait for an answer")
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
