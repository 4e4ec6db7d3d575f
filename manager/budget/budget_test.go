package budget

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func quiet() *Budget { return New(slog.New(slog.DiscardHandler)) }

// A session that has used up its flows is refused, and another one is not. A user has no
// more by more sessions.
func TestFlowsOfSessionsAndUsers(t *testing.T) {
	b := quiet()
	var release func()
	for i := range sessionFlows {
		var err error
		if release, err = b.Flow("alice-1", "alice"); err != nil {
			t.Fatal(i, err)
		}
	}
	var over *OverError
	_, err := b.Flow("alice-1", "alice")
	if !errors.As(err, &over) || over.Peer != Session || over.Name != "alice-1" {
		t.Errorf("one more is %v", err)
	}
	if want := "session alice-1 has all of its 2048 flows at this traffic-manager"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	if _, err := b.Flow("bob-1", "bob"); err != nil {
		t.Error("another user:", err)
	}
	release()
	release() // a second time it gives nothing back
	if _, err := b.Flow("alice-1", "alice"); err != nil {
		t.Error("after one has ended:", err)
	}
	if _, err := b.Flow("alice-1", "alice"); err == nil {
		t.Error("a flow was given back twice")
	}
	for i := range userFlows - sessionFlows {
		if _, err := b.Flow("alice-2", "alice"); err != nil {
			t.Fatal(i, err)
		}
	}
	if _, err = b.Flow("alice-3", "alice"); !errors.As(err, &over) || over.Peer != User {
		t.Errorf("the user's last is %v", err)
	}
	if n := b.sessionFlows.used["alice-3"]; n != 0 {
		t.Errorf("a refused session keeps %d", n)
	}
	got := b.Refusals()
	if got[Refusal{Session, "flows"}] != 2 || got[Refusal{User, "flows"}] != 1 || len(got) != 2 {
		t.Errorf("counted %v", got)
	}
}

// Whoever waits has his turn when something is given back, or hears when it takes too long.
func TestLimitAwaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := quiet()
		l := newLimit(b.refusals, Stranger, "admission reviews", 2, 3)
		first, err := l.Take("a")
		if err != nil {
			t.Fatal(err)
		}
		l.Take("a")
		time.AfterFunc(time.Second, first)
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		began := time.Now()
		if _, err := l.Await(ctx, "a"); err != nil || time.Since(began) != time.Second {
			t.Errorf("had its turn after %s: %v", time.Since(began), err)
		}
		if _, err := l.Await(ctx, "a"); err == nil || !strings.Contains(err.Error(), "stranger a has all of its 2 admission reviews") {
			t.Error(err)
		}
		l.Take("b")
		if _, err := l.Take("c"); err == nil || !strings.Contains(err.Error(), "at most 3 admission reviews to all peers together") {
			t.Error(err)
		}
	})
}

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := quiet()
		r := newRate(b.refusals, Stranger, "unknown sessions", 10, 50)
		allowed := func(peer string, tries int) (n int) {
			for range tries {
				if r.Allow(peer) == nil {
					n++
				}
			}
			return n
		}
		if n := allowed("a", 1000); n != 50 {
			t.Errorf("%d of a thousand at once", n)
		}
		if n := allowed("b", 3); n != 3 {
			t.Errorf("another peer had %d of 3", n)
		}
		time.Sleep(2 * time.Second)
		if n := allowed("a", 1000); n != 20 {
			t.Errorf("%d after two seconds", n)
		}
		time.Sleep(time.Hour)
		if n := allowed("a", 1000); n != 50 {
			t.Errorf("%d after an hour", n)
		}
		if n := b.Refusals()[Refusal{Stranger, "unknown sessions"}]; n != 950+980+950 {
			t.Errorf("%d refusals", n)
		}
	})
}

// Whoever waits is served at the rate, and holds up nobody else.
func TestRateAwaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRate(quiet().refusals, Agent, "reports", 10, 50)
		began := time.Now()
		for range 150 {
			if err := r.Await(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < 9900*time.Millisecond || took > 10100*time.Millisecond {
			t.Errorf("150 took %s", took)
		}
		began = time.Now()
		if r.Await(t.Context(), "b"); time.Since(began) != 0 {
			t.Errorf("another peer waited %s", time.Since(began))
		}
	})
}

// Peers that come once are forgotten.
func TestRateForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRate(quiet().refusals, Stranger, "unknown sessions", 10, 50)
		for i := range 10_000 {
			r.Allow(fmt.Sprint("10.0.0.", i))
			time.Sleep(10 * time.Millisecond)
		}
		if n := len(r.peers); n > 2*sweepMin {
			t.Errorf("%d peers are remembered", n)
		}
	})
}

// TestStrangers: the connection that has waited longest makes room.
func TestStrangers(t *testing.T) {
	b := quiet()
	s := newStrangers(b.refusals, 6, 3)
	var closed []string
	visits := map[string]*Visit{}
	enter := func(names ...string) {
		for _, name := range names {
			address, _, _ := strings.Cut(name, "/")
			visits[name] = s.Enter(address, func() { closed = append(closed, name) })
		}
	}
	expect := func(what, want string) {
		t.Helper()
		if got := strings.Join(closed, " "); got != want {
			t.Errorf("%s: closed %q, want %q", what, got, want)
		}
		closed = nil
	}
	enter("a/1", "a/2", "a/3")
	expect("as many as may be", "")
	enter("a/4")
	expect("one more of an address", "a/1")
	visits["a/2"].Known()
	enter("a/5")
	expect("after one is known", "")
	enter("b/1", "b/2", "c/1")
	expect("as many as all may be", "")
	enter("d/1")
	expect("one more of all", "a/3")
	visits["b/2"].Known()
	done := visits["a/4"].Busy()
	enter("a/6", "a/7", "a/8")
	expect("beside one that is being served", "a/5")
	done()
	expect("when that one is idle", "a/6")
	visits["a/1"].Known() // its connection is closed: nothing happens twice
	for _, v := range visits {
		v.Known()
	}
	if s.Len() != 0 || len(s.waiting) != 0 {
		t.Errorf("%d wait, %v", s.Len(), s.waiting)
	}
	visits["a/8"].Busy()()
	if s.Len() != 0 {
		t.Error("a connection that is gone waits again")
	}
	var nobody *Visit
	nobody.Known()
	nobody.Busy()()
}

func TestAddressOf(t *testing.T) {
	for from, want := range map[string]string{"10.0.0.1:4": "10.0.0.1", "[::ffff:10.0.0.1]:4": "10.0.0.1", "[fd00::1]:4": "fd00::1"} {
		a, err := net.ResolveTCPAddr("tcp", from)
		if err != nil {
			t.Fatal(err)
		}
		if got := AddressOf(a); got != want {
			t.Errorf("%s is %s", from, got)
		}
	}
	if got := AddressOf(nil); got != "" {
		t.Errorf("nobody is %s", got)
	}
}

// Refusals are counted by kind of peer and reason, and names of peers are in no label.
func TestMetrics(t *testing.T) {
	b := quiet()
	for range sessionLines + 1 {
		b.Line("alice-1", "alice")
	}
	b.Strangers.Enter("10.0.0.1", func() {})
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(NewMetrics(b)); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			key := f.GetName()
			for _, l := range m.Label {
				key += " " + l.GetName() + "=" + l.GetValue()
			}
			got[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	for key, want := range map[string]float64{
		"traffic_manager_refusals_total peer=session reason=lines":        1,
		"traffic_manager_in_use peer=session resource=lines":              sessionLines,
		"traffic_manager_in_use peer=session resource=flows":              0,
		"traffic_manager_in_use peer=agent resource=connections":          0,
		"traffic_manager_in_use peer=agent resource=control streams":      0,
		"traffic_manager_in_use peer=stranger resource=connections":       1,
		"traffic_manager_in_use peer=stranger resource=admission reviews": 0,
	} {
		if n, there := got[key]; !there || n != want {
			t.Errorf("%s is %g, want %g", key, n, want)
		}
	}
	if n, there := got["traffic_manager_refusals_total peer=user reason=flows"]; !there || n != 0 || len(got) != 6+13 {
		t.Errorf("got %v", got)
	}
}
