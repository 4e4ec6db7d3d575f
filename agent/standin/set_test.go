package standin

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/line"
)

// dials are the attempts to make lines, none of which succeeds.
type dials struct {
	mu    sync.Mutex
	began time.Time
	made  map[upstream][]time.Duration
}

func (d *dials) dial(_ context.Context, u upstream) (*line.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.made[u] = append(d.made[u], time.Since(d.began))
	return nil, &line.NoLineError{Verdict: frame.NoLine}
}

// take returns when there were dials since the last take.
func (d *dials) take(u upstream) []time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	made := d.made[u]
	delete(d.made, u)
	return made
}

// A Set asks every relay of a stand-in for lines, less and less often as long as there are
// none, and stops when the stand-in is gone.
func TestLinesAreAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &dials{began: time.Now(), made: map[upstream][]time.Duration{}}
		s := newSet(t.Context(), "app", func([]string) tunnel.Handler { return nil }, &container{}, slog.New(slog.DiscardHandler), d.dial)
		request := handshake.LineRequest{Session: "alice", Intercept: "shop/quote", InterceptUID: "i", FromSession: true}
		one, two := upstream{"10.0.0.1:8444", request}, upstream{"10.0.0.2:8444", request}
		with := &rpc.StandIn{Intercept: "shop/quote", InterceptUid: "i", Session: "alice", Relays: []string{one.relay, two.relay}}

		s.Apply(&rpc.AgentConfig{Generation: 1, StandIns: []*rpc.StandIn{with}})
		time.Sleep(4 * time.Second)
		synctest.Wait()
		want := []time.Duration{0, 500 * time.Millisecond, 1500 * time.Millisecond, 3500 * time.Millisecond}
		for _, u := range []upstream{one, two} {
			if got := d.take(u); !slices.Equal(got, want) {
				t.Errorf("relay %s is asked at %v, want %v", u.relay, got, want)
			}
		}

		with.Relays = with.Relays[:1]
		s.Apply(&rpc.AgentConfig{Generation: 2, StandIns: []*rpc.StandIn{with}})
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := d.take(one); len(got) < 4 || got[len(got)-1]-got[len(got)-2] != pauseMax {
			t.Errorf("a relay that stays is asked at %v", got)
		}
		if got := d.take(two); len(got) > 0 {
			t.Errorf("a relay that is gone is asked at %v", got)
		}
		if r := s.Report(); r.Container != "app" || r.Generation != 2 || len(r.Routes) > 0 {
			t.Errorf("reported is %v", r)
		}

		s.Apply(&rpc.AgentConfig{Generation: 3})
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := d.take(one); len(got) > 0 {
			t.Errorf("without stand-ins, a relay is asked at %v", got)
		}
	})
}

// container is one that pauses note their state in.
type container struct{ stopped bool }

func (c *container) Begin()                   { c.stopped = true }
func (c *container) End()                     { c.stopped = false }
func (c *container) Changed() <-chan struct{} { return nil }
func (c *container) State() (rpc.PortState, string) {
	if c.stopped {
		return rpc.PortState_VERIFIED, ""
	}
	return rpc.PortState_PENDING, ""
}

// The container is stopped as long as there is a pause, and each pause is reported.
func TestPauses(t *testing.T) {
	c := &container{}
	s := newSet(t.Context(), "app", nil, c, slog.New(slog.DiscardHandler), nil)
	for n, test := range []struct {
		pauses []*rpc.Pause
		want   bool
	}{
		{nil, false},
		{[]*rpc.Pause{{InterceptUid: "i"}}, true},
		{[]*rpc.Pause{{InterceptUid: "i"}, {InterceptUid: "k"}}, true},
		{[]*rpc.Pause{{InterceptUid: "k"}}, true},
		{nil, false},
	} {
		s.Apply(&rpc.AgentConfig{Generation: uint64(n), Pauses: test.pauses})
		r := s.Report()
		if c.stopped != test.want || len(r.Pauses) != len(test.pauses) {
			t.Errorf("with %v the container is stopped: %t, and reported is %v", test.pauses, c.stopped, r)
		}
		for k, p := range r.Pauses {
			if p.InterceptUid != test.pauses[k].InterceptUid || p.State != rpc.PortState_VERIFIED {
				t.Errorf("with %v, reported is %v", test.pauses, r)
			}
		}
	}
}
