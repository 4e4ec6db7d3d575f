package http2

import (
	framing "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
)

// exchange is one request and its answer: a stream of the caller and one of a target.
type exchange struct {
	caller, target end
	fields         []hpack.HeaderField // of the request, while it may have to be sent again
	weight         int                 // of fields, in session.weight
	kind           kind
	answered       bool // the head of the final answer went to the caller
	held           bool // a goroutine decides about it, without the lock
	tries          int
	counted        http.Target // that has counted it as arrived; nil if none has
	copies         []*exchange
	copier         http.Copier // that it is a copy for; nil if it is none
}

// end is one end of an exchange: a stream of one leg. What arrives on it goes to the other
// end.
type end struct {
	x   *exchange
	leg *leg
	id  uint32 // 0: the stream was not opened
	arriving
	leaving
	closed bool // nothing comes or goes any more
}

// arriving is what comes on a stream.
type arriving struct {
	credit int  // what the peer may still send
	size   int  // the most that credit and the queue have together
	got    bool // END_STREAM has come
}

// leaving is what goes out on a stream. Queue, trailers and the end wait for the peer's
// windows.
type leaving struct {
	window   int // what the peer lets us send
	queue    queue
	trailers []hpack.HeaderField
	over     bool // after the queue and the trailers the stream ends
	sent     bool // END_STREAM was sent
	carried  bool // bytes of a body were sent
	reset    bool // after the end comes RST_STREAM, with code
	code     framing.ErrCode
	next     *end // in list
	listed   bool
}

// list is the streams of a leg that have something to send.
type list struct{ first, last *end }

func (l *list) push(e *end) {
	if e.listed {
		return
	}
	e.listed = true
	if l.first == nil {
		l.first = e
	} else {
		l.last.next = e
	}
	l.last = e
}

func (l *list) pop() *end {
	e := l.first
	l.first, e.next, e.listed = e.next, nil, false
	return e
}

func (l *list) remove(e *end) {
	if !e.listed {
		return
	}
	at, before := &l.first, (*end)(nil)
	for *at != e {
		before, at = *at, &(*at).next
	}
	*at = e.next
	if l.last == e {
		l.last = before
	}
	e.next, e.listed = nil, false
}

// newExchange begins an exchange with a request that has arrived.
func (s *session) newExchange(b *block) *exchange {
	x := &exchange{}
	if n := len(s.free); n > 0 {
		x, s.free = s.free[n-1], s.free[:n-1]
	}
	fields := x.fields[:0]
	*x = exchange{fields: b.fields, weight: b.size, held: true}
	b.fields = fields
	s.weight += x.weight
	x.caller = end{x: x, leg: s.caller, id: b.id}
	x.caller.arriving = arriving{credit: firstWindow, size: firstWindow, got: b.over}
	x.caller.window = s.caller.peer.window
	x.target = end{x: x}
	x.target.over = b.over
	s.caller.streams[b.id] = &x.caller
	return x
}

// other is the end that gets what arrives on e.
func (e *end) other() *end {
	if e == &e.x.caller {
		return &e.x.target
	}
	return &e.x.caller
}

// settle closes the stream of e, if both its directions have ended.
func (e *end) settle() {
	switch {
	case !e.sent || e.closed:
	case e.got:
		e.leg.patience.earn()
		e.part()
	case e.reset:
		e.kill(e.code)
	}
}

// kill resets the stream of e, unless its whole connection ends.
func (e *end) kill(code framing.ErrCode) {
	if e.id != 0 && !e.closed && !e.leg.closing {
		e.leg.putUint32(framing.FrameRSTStream, e.id, uint32(code))
	}
	e.part()
}

// part ends the stream of e: nothing comes or goes any more.
func (e *end) part() {
	if e.closed {
		return
	}
	e.closed = true
	s := e.x.caller.leg.s
	e.drained(e.queue.drop())
	if e == &e.x.caller && !e.got {
		e.x.dropCopies()
	}
	if e.id != 0 {
		l := e.leg
		delete(l.streams, e.id)
		l.ready.remove(e)
		s.extra -= e.size - firstWindow
		l.startWaiting()
		l.retire()
	} else if e.leg != nil {
		e.leg.forget(e.x)
	}
	if e.x.caller.closed && e.x.target.closed {
		s.release(e.x)
	}
}

// release forgets an exchange that has ended, and keeps its memory for the next.
func (s *session) release(x *exchange) {
	if x.held { // it is being decided about, without the lock: place releases it
		return
	}
	x.drop()
	if x.copier != nil { // others still refer to it
		return
	}
	if n := len(s.caller.streams); n == 0 {
		clear(s.free)
		s.free = append(s.free[:0], x)
	} else if len(s.free) <= n {
		s.free = append(s.free, x)
	}
}

// drop forgets the fields of the request: it will not be sent again.
func (x *exchange) drop() {
	if s := x.caller.leg.s; x.copier != nil {
		s.copied -= x.weight
		x.copier.Waits(-x.weight)
	} else {
		s.weight -= x.weight
	}
	x.weight = 0
	clear(x.fields)
	x.fields = x.fields[:0]
}

// place brings a request to where the decision says.
func (s *session) place(x *exchange, d http.Decision) {
	x.held = false
	if x.tries > maxTries {
		d = http.Decision{}
	}
	if !x.caller.closed && x.tries == 0 {
		for _, t := range d.Copies {
			x.copyTo(t)
		}
	}
	switch {
	case x.caller.closed && x.target.closed: // the caller has given up meanwhile
		s.release(x)
	case x.caller.closed:
		x.target.part()
	case d.Answer != nil:
		x.answer(d.Answer)
	case d.To == nil:
		x.fail(framing.ErrCodeRefusedStream)
	default:
		if d.To != x.counted { // else it comes back to where it was lost
			x.counted = d.To
			d.To.Arrived()
		}
		s.legTo(d.To).begin(x)
	}
}
