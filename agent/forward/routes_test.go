package forward_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"syscall"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/agent/forward"
	"github.com/kubectl-intercept/kubectl-intercept/agent/relay"
	"github.com/kubectl-intercept/kubectl-intercept/agent/tcp"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// laptops are those of several intercepts, by the UID of these.
type laptops map[string]laptop

// Open implements forward.Opener.
func (l laptops) Open(ctx context.Context, owner *relay.Owner, open *frame.Open) (tunnel.Stream, error) {
	to, ok := l[owner.UID]
	if !ok {
		return nil, relay.ErrRefused
	}
	return to.Open(ctx, owner, open)
}

// named is the address of a program that answers every line with its name in front.
func named(t *testing.T, name string) string { return tunneltest.Named(t, name).String() }

// caller is a connection to a captured port.
type caller struct {
	net.Conn
	in *bufio.Reader
}

func call(t *testing.T, l *tcp.Listener) *caller {
	t.Helper()
	c, err := dial(t.Context(), address(l))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &caller{c, bufio.NewReader(c)}
}

// answers wants the answer to a line to be that of the program with this name.
func (c *caller) answers(t *testing.T, who string) {
	t.Helper()
	fmt.Fprintln(c, "hello")
	if got, err := c.in.ReadString('\n'); got != who+" hello\n" {
		t.Errorf("answered %q, %v, not by %s", got, err, who)
	}
}

// isReset waits until the connection is reset.
func (c *caller) isReset(t *testing.T) {
	t.Helper()
	if _, err := c.in.ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection ends with %v", err)
	}
}

func route(uid, session string) *rpc.Route {
	return &rpc.Route{Intercept: "shop/" + uid, InterceptUid: uid, Session: session, Relays: []string{"relay"}}
}

// The first route takes what comes, each has its own counts, and connections stay
// with their owner for as long as that has a route of the port.
func TestTwoRoutes(t *testing.T) {
	l := capturing(t, named(t, "app"), laptops{"a": laptop(named(t, "alice")), "b": laptop(named(t, "bob"))})
	a, b := route("a", "alice"), route("b", "bob")
	set := func(routes ...*rpc.Route) { l.Route(&rpc.CapturePort{Port: 80, Routes: routes}) }
	application := call(t, l)
	application.answers(t, "app")

	set(a, b)
	alices := call(t, l)
	alices.answers(t, "alice")
	if x, y := counts(l, "a"), counts(l, "b"); x.Connections != 1 || y.Connections != 0 || x.BytesIn == 0 || y.BytesIn != 0 {
		t.Errorf("counts are %v and %v", x, y)
	}
	set(b) // alice leaves
	alices.isReset(t)
	bobs := call(t, l)
	bobs.answers(t, "bob")

	set(a, b) // and is back
	bobs.answers(t, "bob")
	call(t, l).answers(t, "alice")
	set(b, a)
	call(t, l).answers(t, "bob")
	if x, y := counts(l, "a"), counts(l, "b"); x.Connections != 1 || y.Connections != 2 {
		t.Errorf("counts are %v, which began anew, and %v", x, y)
	}

	set(route("b", "another session")) // counts on, but its connections end
	bobs.isReset(t)
	if y := counts(l, "b"); y.Connections != 2 {
		t.Errorf("counts are %v", y)
	}
	l.Route(nil)
	application.answers(t, "app")
	call(t, l).answers(t, "app")
}

// What the laptop of the first route does not take is the application's, and not
// the second route's.
func TestFallBackPassesTheSecondRoute(t *testing.T) {
	l := capturing(t, named(t, "app"), laptops{"b": laptop(named(t, "bob"))})
	away, closed := route("a", "alice"), route("a", "alice")
	away.Relays, closed.NoFallback = nil, true
	for _, first := range []*rpc.Route{route("a", "alice"), away} {
		l.Route(&rpc.CapturePort{Routes: []*rpc.Route{first, route("b", "bob")}})
		call(t, l).answers(t, "app")
	}
	l.Route(&rpc.CapturePort{Routes: []*rpc.Route{closed, route("b", "bob")}})
	c := call(t, l)
	fmt.Fprintln(c, "hello")
	c.isReset(t)
	if x, y := counts(l, "a"), counts(l, "b"); x.Fallbacks != 3 || len(x.Missed) != 2 || y.Connections != 0 {
		t.Errorf("counts are %v and %v", x, y)
	}
}

// A route whose mode or match the agent does not know takes nothing, and says so.
func TestUnknownRoute(t *testing.T) {
	l := capturing(t, named(t, "app"), laptops{"a": laptop(named(t, "alice")), "b": laptop(named(t, "bob"))})
	copies, matches := route("a", "alice"), route("a", "alice")
	copies.Mode, matches.Match = 100, &rpc.Match{Conditions: []*rpc.Condition{{Part: 100, Op: rpc.Condition_REGEXP, Value: "x"}}}
	for _, first := range []*rpc.Route{copies, matches} {
		l.Route(&rpc.CapturePort{Routes: []*rpc.Route{first, route("b", "bob")}})
		call(t, l).answers(t, "bob")
		if r := counts(l, "a"); r.State != rpc.PortState_FAILED || r.Message == "" || r.Connections != 0 {
			t.Errorf("reported as %v", r)
		}
		l.Route(&rpc.CapturePort{Routes: []*rpc.Route{first}})
		call(t, l).answers(t, "app")
	}
}

// Flows of datagrams begin anew where their route has left, where its laptop is
// back, or where the application has them although there is a route by now.
func TestFlowsBeginAnew(t *testing.T) {
	p := forward.NewPort(t.Context(), 53, nil, nil, slog.New(slog.DiscardHandler))
	set := func(routes ...*rpc.Route) func(*forward.Route) bool { return p.Set(&rpc.CapturePort{Routes: routes}) }
	check := func(when string, got, want bool) {
		t.Helper()
		if got != want {
			t.Errorf("%s: begins anew: %t", when, got)
		}
	}
	away := route("b", "bob")
	away.Relays = nil
	check("nobody has the port", p.Set(nil)(nil), false)
	check("somebody has the port now", set(route("a", "alice"), away)(nil), true)
	first := p.Pick()
	check("the second is back", set(route("a", "alice"), route("b", "bob"))(first), false)
	check("the first has left", set(route("b", "bob"))(first), true)
	second := p.Pick()
	check("the laptop goes away", set(away)(second), false)
	check("it stays away", set(away)(second), false)
	check("it is back", set(route("b", "bob"))(second), true)
	check("it stays", set(route("b", "bob"))(second), false)
	check("it leaves", p.Set(nil)(second), true)
}

// A connection that is not HTTP, and that no route took when it began, is taken by an
// intercept of all connections that begins later, unless that leaves such connections alone.
func TestGlobalTakesWhatNobodyTook(t *testing.T) {
	away := mirrorOf("m", nil)
	away.Relays = nil
	for name, before := range map[string]*rpc.Route{"personal": personal("alice"), "mirror": mirrorOf("m", &rpc.Match{}), "mirror that is away": away} {
		t.Run(name, func(t *testing.T) {
			l := capturing(t, named(t, "app"), laptops{"all": laptop(named(t, "all")), "m": laptop(named(t, "m"))})
			l.Route(&rpc.CapturePort{Port: 80, Routes: []*rpc.Route{before}})
			c := call(t, l)
			c.answers(t, "app")
			both := &rpc.CapturePort{Port: 80, Routes: []*rpc.Route{before, route("all", "all")}, KeepEstablished: true}
			l.Route(both)
			c.answers(t, "app")
			both.KeepEstablished = false
			l.Route(both)
			c.isReset(t)
			call(t, l).answers(t, "all")
		})
	}
}
