package ports

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/capture"
	"github.com/kubectl-intercept/kubectl-intercept/agent/relay"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// entrance notes what a Set does with it. Tests of it run in synctest bubbles.
type entrance struct {
	mu       sync.Mutex
	cannot   error // what Listen and Open fail with
	proves   bool
	unproven error     // what proofs fail with
	noticed  time.Time // until when listeners tell of routes that are gone
	log      []string
}

// fails sets what fails from now on, and whether there are proofs.
func (e *entrance) fails(cannot error, proves bool, unproven error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cannot, e.proves, e.unproven = cannot, proves, unproven
}

func (e *entrance) failing() (cannot error, proves bool, unproven error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.cannot, e.proves, e.unproven
}

func (e *entrance) note(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.log = append(e.log, fmt.Sprintf(format, args...))
}

// took returns what was noted since the last time.
func (e *entrance) took() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	log := strings.Join(e.log, ", ")
	e.log = nil
	return log
}

func (e *entrance) Listen(number uint16, _ capture.Protocol) (Listener, error) {
	if cannot, _, _ := e.failing(); cannot != nil {
		return nil, cannot
	}
	e.note("listen %d", number)
	return &listening{e: e, number: number}, nil
}

func (e *entrance) Open(ports []capture.Port) error {
	if cannot, _, _ := e.failing(); cannot != nil {
		return cannot
	}
	e.note("open %v", ports)
	return nil
}

func (e *entrance) Proof(capture.Port) func(context.Context, *capture.ProofBook) error {
	if _, proves, _ := e.failing(); !proves {
		return nil
	}
	return func(context.Context, *capture.ProofBook) error {
		_, _, unproven := e.failing()
		return unproven
	}
}

func (e *entrance) Idle()                 { e.note("idle") }
func (e *entrance) Close(context.Context) { e.note("close") }

// listening is a Listener. It counts one connection for each of its routes.
type listening struct {
	e      *entrance
	number uint16
	book   capture.ProofBook
}

func (l *listening) Agent() uint16            { return 9000 + l.number }
func (l *listening) Book() *capture.ProofBook { return &l.book }
func (l *listening) Route(c *rpc.CapturePort) time.Time {
	var uids []string
	for _, r := range c.Routes {
		uids = append(uids, r.InterceptUid)
	}
	l.e.note("route %d %v", l.number, uids)
	if len(c.Routes) == 0 {
		return l.e.noticed
	}
	return time.Time{}
}
func (l *listening) Report(r *rpc.RouteReport) { r.Connections = uint64(len(r.InterceptUid)) }
func (l *listening) Leave()                    { l.e.note("leave %d", l.number) }
func (l *listening) Close(context.Context)     {}

// keeper has the owners that the relays are kept warm for.
type keeper []string

func (k *keeper) Keep(owners []relay.Owner) {
	*k = nil
	for _, o := range owners {
		*k = append(*k, o.Session)
	}
}

func captured(number uint32, uids ...string) *rpc.CapturePort {
	c := &rpc.CapturePort{Port: number}
	for _, uid := range uids {
		c.Routes = append(c.Routes, &rpc.Route{InterceptUid: uid, Session: "of " + uid})
	}
	return c
}

func config(ports ...*rpc.CapturePort) *rpc.AgentConfig {
	return &rpc.AgentConfig{Generation: 7, Ports: ports}
}

// states are the reported routes, as "80 uid STATE connections".
func states(s *Set) string {
	var list []string
	for _, r := range s.Report().Routes {
		list = append(list, fmt.Sprintf("%d %s %s %d", r.Port, r.InterceptUid, r.State, r.Connections))
	}
	return strings.Join(list, ", ")
}

func bubble(t *testing.T, test func(*testing.T, *Set, *entrance, *keeper)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e, k := &entrance{}, &keeper{}
		s := New(t.Context(), e, k, true, slog.New(slog.DiscardHandler))
		test(t, s, e, k)
		s.Close(t.Context())
	})
}

func is(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// A port with two routes is one port of the entrance, and has a report of each.
func TestTwoRoutesOfOnePort(t *testing.T) {
	bubble(t, func(t *testing.T, s *Set, e *entrance, k *keeper) {
		s.Apply(config(captured(80, "a", "bb"), captured(0, "wrong"), captured(81)))
		is(t, "two routes", e.took(), "listen 80, route 80 [a bb], open [80/TCP]")
		is(t, "reports", states(s), "80 a VERIFIED 1, 80 bb VERIFIED 2")
		if r := s.Report(); r.Generation != 7 || !r.Sidecar || !slices.Equal(*k, []string{"of a", "of bb"}) {
			t.Errorf("report %v, relays kept for %v", r, *k)
		}
		s.Apply(config(captured(80, "bb")))
		is(t, "one leaves", e.took(), "route 80 [bb], open [80/TCP]")
		is(t, "reports", states(s), "80 bb VERIFIED 2")
		s.Apply(config())
		synctest.Wait()
		is(t, "both left", e.took(), "open [], leave 80, idle")
		is(t, "reports", states(s), "")
	})
}

// A port stays while callers are told of a route that is gone.
func TestNotices(t *testing.T) {
	bubble(t, func(t *testing.T, s *Set, e *entrance, _ *keeper) {
		told := captured(80, "a")
		told.Routes[0].NoticeSeconds = 60
		s.Apply(config(told, captured(81, "b")))
		e.took()
		e.noticed = time.Now().Add(time.Minute)
		s.Apply(config())
		synctest.Wait()
		is(t, "the other port goes", e.took(), "route 80 [], open [80/TCP], leave 81")
		if r := s.Report(); !r.Notices || len(r.Routes) != 0 {
			t.Errorf("report is %v", r)
		}
		time.Sleep(30 * time.Second)
		s.Apply(config(captured(80, "c")))
		is(t, "another route", e.took(), "route 80 [c], open [80/TCP]")
		s.Apply(config(told))
		s.Apply(config())
		e.took()
		time.Sleep(time.Minute)
		synctest.Wait()
		is(t, "the time is over", e.took(), "route 80 [], open [], leave 80, idle")
		if s.Report().Notices {
			t.Error("still tells")
		}
	})
}

// While a port cannot be taken, its routes say why, and it is tried again.
func TestFailures(t *testing.T) {
	bubble(t, func(t *testing.T, s *Set, e *entrance, _ *keeper) {
		e.fails(errors.New("no descriptors"), false, nil)
		s.Apply(config(captured(80, "a", "b")))
		is(t, "no listener", states(s), "80 a FAILED 0, 80 b FAILED 0")
		is(t, "reason", s.Report().Routes[1].Message, "no descriptors")
		e.fails(nil, true, errors.New("it went elsewhere"))
		next(s)
		is(t, "not proven", states(s), "80 a FAILED 1, 80 b FAILED 1")
		is(t, "reason", s.Report().Routes[0].Message, "it went elsewhere")
		e.fails(nil, true, nil)
		next(s)
		is(t, "proven", states(s), "80 a VERIFIED 1, 80 b VERIFIED 1")
		e.took()
		e.fails(errors.New("netlink"), true, nil)
		s.Apply(config())
		is(t, "the rules stay", e.took(), "leave 80")
		e.fails(nil, true, nil)
		next(s)
		synctest.Wait()
		is(t, "the rules go", e.took(), "open [], leave 80, idle")
	})
}

// next waits for the next change of a port's state but those that have been.
func next(s *Set) {
	synctest.Wait()
	select {
	case <-s.Changed():
	default:
	}
	<-s.Changed()
	synctest.Wait()
}
