package carrier

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// road is a direct way that takes a while, or fails.
type road struct {
	mu    sync.Mutex
	takes time.Duration
	err   error
	at    string
	dials int
}

// is changes the road.
func (r *road) is(err error, takes time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err, r.takes = err, takes
}

func (r *road) network(context.Context) string { return r.at }

func (r *road) Dial(ctx context.Context) (net.Conn, error) {
	r.mu.Lock()
	r.dials++
	takes, err := r.takes, r.err
	r.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	c, _ := net.Pipe()
	return c, nil
}

// climb is a Ladder over a road, below which the service proxy takes a while.
type climb struct {
	*Ladder
	road   *road
	below  time.Duration
	broken error
	moved  int
	known  map[string]bool
}

func newClimb(r *road) *climb {
	c := &climb{road: r, below: 10 * time.Millisecond, known: map[string]bool{}}
	c.Ladder = NewLadder(LadderConfig{Direct: r, Reread: func(context.Context) {}, Below: c.byServer,
		Failed: func(n string) bool { return c.known[n] }, Remember: func(n string, failed bool) { c.known[n] = failed },
		Moved: func() { c.moved++ }, Log: slog.New(slog.DiscardHandler)})
	return c
}

func (c *climb) byServer(ctx context.Context) (net.Conn, string, error) {
	select {
	case <-time.After(c.below):
	case <-ctx.Done():
		return nil, "", ctx.Err()
	}
	if c.broken != nil {
		return nil, "", c.broken
	}
	conn, _ := net.Pipe()
	return conn, ViaService, nil
}

// dials returns the transport of a connection, or the error, and how long that took.
func (c *climb) dials(t *testing.T) (string, time.Duration) {
	t.Helper()
	start := time.Now()
	conn, name, err := c.Ladder.Dial(t.Context())
	if err != nil {
		return err.Error(), time.Since(start)
	}
	conn.Close()
	return name, time.Since(start)
}

func TestDirectLadder(t *testing.T) {
	refused := &BetweenError{ViaDirect, errors.New("connection refused")}
	for _, c := range []struct {
		name   string
		road   *road
		broken error
		want   string
		takes  time.Duration
	}{
		{"it works", &road{takes: 20 * time.Millisecond}, nil, ViaDirect, 20 * time.Millisecond},
		{"it is refused", &road{err: refused}, nil, ViaService, 10 * time.Millisecond},
		{"nothing arrives", &road{takes: time.Hour}, nil, ViaService, headStart + 10*time.Millisecond},
		{"it is slow, and all there is", &road{takes: time.Second}, errors.New("403"), ViaDirect, time.Second},
		{"nothing works", &road{err: refused}, errors.New("403"), "403", 10 * time.Millisecond},
		{"nothing works, late", &road{takes: time.Second, err: refused}, errors.New("403"), "403", time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newClimb(c.road)
				l.broken = c.broken
				if got, took := l.dials(t); got != c.want || took != c.takes {
					t.Errorf("%s after %s, want %s after %s", got, took, c.want, c.takes)
				}
				if l.Good() != (c.want == ViaDirect) || (l.Problem() == nil) != l.Good() {
					t.Errorf("good is %v, the problem %v", l.Good(), l.Problem())
				}
				synctest.Wait()
			})
		})
	}
}

// A way that dies is left within a second, is not waited for again, and comes back by itself.
func TestDirectComesBack(t *testing.T) {
	for name, dies := range map[string]func(*road){
		"refused":         func(r *road) { r.is(&BetweenError{ViaDirect, errors.New("connection refused")}, 0) },
		"nothing arrives": func(r *road) { r.is(nil, time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &road{at: "home"}
				c := newClimb(r)
				go c.Run(t.Context())
				if got, _ := c.dials(t); got != ViaDirect || c.moved != 1 {
					t.Fatalf("%s, moved %d times", got, c.moved)
				}
				dies(r)
				if got, took := c.dials(t); got != ViaService || took > time.Second {
					t.Errorf("%s after %s", got, took)
				}
				for range 3 {
					if got, took := c.dials(t); got != ViaService || took > 10*time.Millisecond {
						t.Errorf("%s after %s", got, took)
					}
				}
				if !c.known["home"] {
					t.Error("the network is not remembered")
				}
				time.Sleep(20 * time.Second)
				if c.Good() {
					t.Error("it is taken for good")
				}
				r.is(nil, 0)
				time.Sleep(probeRest + probeTimeout)
				if got, _ := c.dials(t); got != ViaDirect || c.moved != 2 || c.known["home"] || c.Problem() != nil {
					t.Errorf("%s, moved %d times, %v", got, c.moved, c.Problem())
				}
			})
		})
	}
}

// In a network where it failed before nothing waits for it. Another network is another try.
func TestDirectRemembersNetworks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &road{at: "office", err: &BetweenError{ViaDirect, errors.New("connection refused")}}
		c := newClimb(r)
		c.known["office"] = true
		if got, _ := c.dials(t); got != ViaService || r.dials != 0 {
			t.Errorf("%s after %d direct dials", got, r.dials)
		}
		r.at, r.err = "home", nil
		if got, _ := c.dials(t); got != ViaDirect {
			t.Errorf("at home: %s", got)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := &road{err: &NotPossibleError{ViaDirect, errNotOffered}}
		c := newClimb(r)
		if got, _ := c.dials(t); got != ViaService || len(c.known) > 0 || c.Problem() != nil {
			t.Errorf("where none is offered: %s, %v, %v", got, c.known, c.Problem())
		}
	})
}
