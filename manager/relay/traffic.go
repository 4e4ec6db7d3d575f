package relay

import (
	"maps"
	"net"
	"sync"
	"sync/atomic"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
)

// Ways that flows take between session and relay, as metrics and `top` spell them.
const (
	wayCarrier = "carrier"
	wayLine    = "line"
)

// path is a way and a direction of flows, of any session.
type path struct{ way, direction string }

// paths are all there are.
func paths() []path {
	in, out := handshake.Inbound.String(), handshake.Outbound.String()
	return []path{{wayCarrier, in}, {wayCarrier, out}, {wayLine, in}, {wayLine, out}}
}

// sealed says that session and agent encrypt all flows of a path for each other. The relay
// knows of lines there, and not of flows.
func (p path) sealed() bool { return p == path{wayLine, handshake.Inbound.String()} }

// counter counts flows and bytes. It is told of bytes once for each piece that is moved. It is
// safe for concurrent use.
type counter struct {
	all                *counter // of all sessions, which outlives this one
	lines              atomic.Int64
	open, total        atomic.Int64
	toLaptop, toTarget atomic.Int64
}

// line counts a line that is assigned. The caller must call end when it is closed.
func (c *counter) line() (end func()) {
	add := func(n int64) {
		for each := c; each != nil; each = each.all {
			each.lines.Add(n)
		}
	}
	add(1)
	return func() { add(-1) }
}

// begin counts a flow. The caller must call end when it is over.
func (c *counter) begin() (end func()) {
	for each := c; each != nil; each = each.all {
		each.open.Add(1)
		each.total.Add(1)
	}
	return func() {
		for each := c; each != nil; each = each.all {
			each.open.Add(-1)
		}
	}
}

// moved is a tunnel.Count of the end that a session has.
func (c *counter) moved(in, out int) {
	for each := c; each != nil; each = each.all {
		if in > 0 {
			each.toTarget.Add(int64(in))
		}
		if out > 0 {
			each.toLaptop.Add(int64(out))
		}
	}
}

// counted is a flow that a session opens, and that is counted from when it is joined.
type counted struct {
	tunnel.Incoming
	counter *counter
	first   int // bytes that came with the open
}

// Join implements tunnel.Incoming.
func (f *counted) Join(s tunnel.Stream, _ tunnel.Count) error {
	defer f.counter.begin()()
	f.counter.moved(f.first, 0)
	return f.Incoming.Join(s, f.counter.moved)
}

// totals are the counters of all sessions of a Relay, with those that have ended.
type totals struct {
	flows map[path]*counter // nobody changes the map

	mu       sync.Mutex
	carriers map[carrierKind]int
}

// carrierKind is the transport of a carrier, and its direction.
type carrierKind struct{ transport, direction string }

func newTotals() *totals {
	t := &totals{flows: map[path]*counter{}, carriers: map[carrierKind]int{}}
	for _, p := range paths() {
		t.flows[p] = &counter{}
	}
	return t
}

// carrier counts a carrier. The caller must call down when it is over.
func (t *totals) carrier(d handshake.Direction, transport string) (down func()) {
	kind := carrierKind{transport, d.String()}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.carriers[kind]++
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.carriers[kind]--
	}
}

// Transports of carriers, as metrics spell them.
const (
	directly     = "direct"
	serviceProxy = "service-proxy"
	portForward  = "port-forward"
)

// transportOf says how a connection came through the API server: a port-forward ends at the loopback of this pod.
func transportOf(c net.Conn) string {
	if at, ok := c.RemoteAddr().(*net.TCPAddr); ok && at.IP.IsLoopback() {
		return portForward
	}
	return serviceProxy
}

// subject is what a session's flows are counted by. Intercept is "namespace/name", and empty
// for flows that the relay dials.
type subject struct {
	path
	intercept string
}

// maxSubjects is how many subjects a session has before those are forgotten that have neither a
// flow nor a line.
const maxSubjects = 256

// sessionTraffic is what one session moves. It is safe for concurrent use.
type sessionTraffic struct {
	totals *totals

	mu        sync.Mutex
	each      map[subject]*counter
	transport string // of the youngest carrier
}

// carrier counts a carrier. The caller must call down when it is over.
func (t *sessionTraffic) carrier(d handshake.Direction, transport string) (down func()) {
	t.mu.Lock()
	t.transport = transport
	t.mu.Unlock()
	return t.totals.carrier(d, transport)
}

func (t *sessionTraffic) youngest() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.transport
}

// counters are those that there are now.
func (t *sessionTraffic) counters() map[subject]*counter {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.each)
}

// of returns the counter of a subject.
func (t *sessionTraffic) of(way string, d handshake.Direction, intercept string) *counter {
	key := subject{path{way, d.String()}, intercept}
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.each[key]
	if c == nil {
		if len(t.each) >= maxSubjects {
			for k, old := range t.each {
				if old.open.Load()+old.lines.Load() == 0 {
					delete(t.each, k)
				}
			}
		}
		c = &counter{all: t.totals.flows[key.path]}
		t.each[key] = c
	}
	return c
}
