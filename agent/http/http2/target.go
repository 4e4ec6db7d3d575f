package http2

import (
	"encoding/binary"
	"errors"
	"slices"

	framing "golang.org/x/net/http2"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
)

// maxTries is how many targets or connections a request is brought to.
const maxTries = 5

// legTo returns the connection to a target that takes new requests.
func (s *session) legTo(t http.Target) *leg {
	if l := s.legs[t]; l != nil && l.lastID < maxWindow/2 {
		return l
	}
	l := s.newLeg(t)
	s.legs[t] = l
	s.open[l] = struct{}{}
	l.greet()
	if gone := t.Gone(); gone != nil {
		l.done = make(chan struct{})
		s.wg.Go(func() {
			select {
			case <-gone:
				l.leave("the intercept has ended")
			case <-l.done:
			}
		})
	}
	return l
}

// begin sends a request to the target, or lets it wait until the target takes one more.
func (l *leg) begin(x *exchange) {
	x.target.leg = l
	if len(l.streams) >= l.peer.streams {
		l.waiting = append(l.waiting, x)
	} else {
		l.start(x)
	}
}

func (l *leg) start(x *exchange) {
	l.lastID += 2
	if l.lastID == 2 {
		l.lastID = 1
	}
	e := &x.target
	e.id, e.window = l.lastID, l.peer.window
	e.arriving = arriving{credit: firstWindow, size: firstWindow}
	l.streams[e.id] = e
	l.putHeaders(e, x.fields, http.Field{}, e.over && e.queue.len() == 0 && e.trailers == nil)
	if !l.dialed { // the first request travels with the opening
		l.dialed = true
		first := l.out.b
		l.out = outbox{} // the target may keep it
		l.s.wg.Go(func() { l.serve(first) })
	}
	e.schedule()
	x.caller.grant()
}

// startWaiting starts those that wait, as many as the target takes.
func (l *leg) startWaiting() {
	for len(l.waiting) > 0 && len(l.streams) < l.peer.streams && !l.closed {
		x := l.waiting[0]
		l.waiting = slices.Delete(l.waiting, 0, 1)
		l.start(x)
	}
}

// forget takes a request out of those that wait.
func (l *leg) forget(x *exchange) {
	if i := slices.Index(l.waiting, x); i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
	}
}

// serve opens the connection and serves it until it ends.
func (l *leg) serve(first []byte) {
	s := l.s
	conn, err := l.target.Open(s.ctx, first)
	if err != nil {
		l.missed(err)
		return
	}
	s.mu.Lock()
	l.conn = conn
	if l.closed || s.ended && l.lingers == nil || s.cut {
		conn.Reset()
		l.loseAll("the intercept has ended")
	}
	l.in = newReader(conn, nil)
	l.touch()
	l.retire() // if the copies that it was for were dropped
	s.kick()
	s.mu.Unlock()
	err = l.read()
	l.in.release()
	s.log.Debug("a connection to a target has ended", "error", err)
	s.mu.Lock()
	var f *fault
	if errors.As(err, &f) {
		conn.SetWriteDeadline(soon())
		l.goAway(0, f.code)
		l.closing = true
		l.touch()
		s.kick()
	}
	s.mu.Unlock()
	l.leave("the connection to the server was lost")
}

// missed brings the requests of a connection that could not be opened to where else they
// go.
func (l *leg) missed(err error) {
	s := l.s
	s.mu.Lock()
	var all []*exchange
	if !s.ended || l.lingers != nil {
		all = l.orphans(func(*exchange) bool { return true })
	}
	l.close()
	s.mu.Unlock()
	for _, x := range all {
		d := l.target.Missed(err)
		s.mu.Lock()
		s.place(x, d)
		s.kick()
		s.mu.Unlock()
	}
}

// leave gives up a connection: its target has no more requests, or it was lost. What was
// not sent on it is decided anew.
func (l *leg) leave(why string) {
	s := l.s
	s.mu.Lock()
	if l.closed || s.ended {
		l.close()
		s.mu.Unlock()
		return
	}
	dialing := l.conn == nil
	l.close()
	all := l.orphans(func(x *exchange) bool { return x.target.id == 0 || dialing && x.target.id > 1 })
	if !dialing { // else Open says whether the target has got the first request
		l.loseAll(why)
	}
	if l.target == s.sw.Application() {
		s.retire()
	}
	s.kick()
	s.mu.Unlock()
	for _, x := range all {
		d := s.decide(x, &question{})
		s.mu.Lock()
		s.place(x, d)
		s.kick()
		s.mu.Unlock()
	}
}

// loseAll gives up the requests that the target has got.
func (l *leg) loseAll(why string) {
	for _, e := range l.streams {
		e.x.lose(why)
	}
}

// close ends the connection.
func (l *leg) close() {
	if !l.closed {
		l.closed = true
		if l.done != nil {
			close(l.done)
		}
		l.drain()
		delete(l.s.open, l)
		if l.s.ended {
			l.partCopies()
		}
		if l.lingers != nil {
			l.lingers.Waits(-lingerCost)
		}
	}
	if l.conn != nil && !l.closing {
		l.conn.Reset()
	}
}

// partCopies ends the copies on the connection, so that their memory is given back.
func (l *leg) partCopies() {
	for _, e := range l.streams {
		if e.x.copier != nil {
			e.part()
		}
	}
	for _, x := range slices.Clone(l.waiting) {
		if x.copier != nil {
			x.target.part()
		}
	}
}

// drain lets the connection have no new requests.
func (l *leg) drain() {
	if l.s.legs[l.target] == l {
		delete(l.s.legs, l.target)
	}
}

// retire closes a connection that has no new requests, once it has no other.
func (l *leg) retire() {
	if l.target != nil && l.conn != nil && len(l.streams) == 0 && l.s.legs[l.target] != l && !l.closing && !l.closed {
		l.conn.SetWriteDeadline(soon())
		l.closing = true
		l.touch()
	}
}

// orphans takes the requests that ok admits away from the connection.
func (l *leg) orphans(ok func(*exchange) bool) (all []*exchange) {
	for _, e := range l.streams {
		if ok(e.x) {
			all = append(all, e.x)
		}
	}
	slices.SortFunc(all, func(a, b *exchange) int { return int(a.caller.id) - int(b.caller.id) })
	all = append(all, l.waiting...)
	l.waiting = nil
	for _, x := range all {
		e := &x.target
		if e.id != 0 {
			l.ready.remove(e)
			delete(l.streams, e.id)
			l.s.extra -= e.size - firstWindow
		}
		e.leg, e.id, e.arriving, e.sent = nil, 0, arriving{}, false
		x.held = true
		x.tries++
	}
	return all
}

// onGoAway follows GOAWAY. A target does not work on the requests after the last that it
// names: those of which no body was sent go to a new connection (RFC 9113, 8.7).
func (l *leg) onGoAway(f frame) error {
	switch {
	case f.id != 0:
		return &fault{framing.ErrCodeProtocol, "GOAWAY of a stream"}
	case len(f.payload) < 8:
		return &fault{framing.ErrCodeFrameSize, "GOAWAY of a wrong length"}
	case l.target == nil: // the caller's streams go on until it closes
		return l.bear()
	}
	s := l.s
	last := binary.BigEndian.Uint32(f.payload) & maxWindow
	l.drain()
	if l.target == s.sw.Application() {
		s.retire()
	}
	all := l.orphans(func(x *exchange) bool { return x.target.id > last && !x.answered && !x.target.carried })
	for id, e := range l.streams {
		if id > last {
			e.x.fail(framing.ErrCodeRefusedStream)
		}
	}
	for _, x := range all {
		x.held = false
		if x.caller.closed || x.tries > maxTries {
			x.fail(framing.ErrCodeRefusedStream)
			continue
		}
		s.legTo(l.target).begin(x)
	}
	l.retire()
	return l.bear()
}

// goAway sends GOAWAY.
func (l *leg) goAway(last uint32, code framing.ErrCode) {
	b := l.put(framing.FrameGoAway, 0, 0, 8)
	binary.BigEndian.PutUint32(b, last)
	binary.BigEndian.PutUint32(b[4:], uint32(code))
}

// retire tells the caller to connect anew, as the application has told us. A caller that
// still sends requests is served.
func (s *session) retire() {
	if !s.told.retired && !s.ended {
		s.told.retired = true
		s.caller.goAway(maxWindow, framing.ErrCodeNo)
	}
}
