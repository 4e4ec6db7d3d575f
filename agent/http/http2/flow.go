package http2

import (
	"encoding/binary"

	framing "golang.org/x/net/http2"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
)

const (
	// largestWindow is how far the window of a stream grows that is read as fast as it is
	// written, and growth bounds what all streams of a session have beyond firstWindow.
	largestWindow = 2 << 20
	growth        = 4 << 20
	// maxQueued is when the windows of the connections are held back. It takes more than a
	// hundred streams whose far ends do not read.
	maxQueued = 8 << 20
)

// onData passes DATA on to the other end.
func (l *leg) onData(f frame) error {
	size := len(f.payload)
	if l.credit -= size; l.credit < 0 {
		return &fault{framing.ErrCodeFlowControl, "more DATA than the connection's window"}
	}
	l.refill()
	p, err := f.unpad()
	if err != nil {
		return err
	}
	over := f.flags.Has(framing.FlagDataEndStream)
	if len(p) > 0 {
		l.patience.earn()
	} else if !over && !l.patient() {
		return errTooMany
	}
	e := l.streams[f.id]
	switch {
	case e == nil && l.idle(f.id):
		return &fault{framing.ErrCodeProtocol, "DATA of a stream that was not opened"}
	case e == nil: // sent before the peer knew that the stream has ended
		return nil
	case e.got:
		return e.x.abort(e, framing.ErrCodeStreamClosed)
	case size > e.credit:
		return e.x.abort(e, framing.ErrCodeFlowControl)
	case l.target != nil && !e.x.answered:
		return e.x.abort(e, framing.ErrCodeProtocol)
	}
	e.credit -= size
	e.got = over
	if l.target != nil {
		l.target.Moved(0, len(p))
	}
	if to := e.other(); !to.closed && !to.sent {
		to.send(p, over)
	}
	if l.target == nil {
		e.x.toCopies(p, over, nil)
	}
	e.grant()
	e.settle()
	return nil
}

// refill opens the connection's window again.
func (l *leg) refill() {
	if l.credit <= connectionWindow/2 && l.s.queued < maxQueued {
		l.putUint32(framing.FrameWindowUpdate, 0, uint32(connectionWindow-l.credit))
		l.credit = connectionWindow
	}
}

// drained says that n bytes have left the queue of e. Those of copies count apart, since
// they slow nothing.
func (e *end) drained(n int) {
	s := e.x.caller.leg.s
	if to := e.x.copier; to != nil {
		s.copied -= n
		to.Waits(-n)
		return
	}
	before := s.queued
	if s.queued -= n; before < maxQueued || s.queued >= maxQueued {
		return
	}
	s.caller.refill()
	for l := range s.open {
		l.refill()
	}
}

// send passes bytes on, at once if the windows and the connection allow it.
func (e *end) send(p []byte, over bool) {
	e.over = over
	if l := e.leg; e.id != 0 && l.conn != nil && !e.listed && e.queue.len() == 0 &&
		(len(p) == 0 || len(p) <= min(e.window, l.window) && len(l.out.b) < maxBatch) {
		if len(p) > 0 || over {
			l.putData(e, p, over)
			e.settle()
		}
		return
	}
	e.queue.push(p)
	e.drained(-len(p))
	e.schedule()
}

// schedule lets the leg send what e has to send, if there is something that it may.
func (e *end) schedule() {
	if e.id == 0 || e.closed || e.sent || e.queue.len() > 0 && e.window <= 0 || e.queue.len() == 0 && !e.over {
		return
	}
	e.leg.ready.push(e)
	e.leg.touch()
}

// pump sends what the streams have to send, a frame of each in turn, as much as is good
// to write at once.
func (l *leg) pump() {
	for l.conn != nil && l.ready.first != nil && len(l.out.b) < maxBatch {
		e := l.ready.first
		if e.queue.len() > 0 && l.window <= 0 {
			// The window of the connection is used up. Ends of streams need none.
			if !l.sendEnds() {
				return
			}
			continue
		}
		l.ready.pop()
		l.carry(e)
		e.schedule()
	}
}

// sendEnds sends the ends of the streams that have nothing else to send.
func (l *leg) sendEnds() (some bool) {
	for e := l.ready.first; e != nil; {
		next := e.next
		if e.queue.len() == 0 {
			l.ready.remove(e)
			l.carry(e)
			some = true
		}
		e = next
	}
	return some
}

// carry sends the next frame of a stream.
func (l *leg) carry(e *end) {
	n := min(e.queue.len(), maxFrame, e.window, l.window)
	if n > 0 {
		l.putData(e, e.queue.first(n), e.over && e.queue.len() == n && e.trailers == nil)
		e.queue.skip(n)
		e.drained(n)
	}
	if e.over && !e.sent && e.queue.len() == 0 {
		if e.trailers != nil {
			l.putHeaders(e, e.trailers, http.Field{}, true)
			e.trailers, e.carried = nil, true
		} else {
			l.putData(e, nil, true)
		}
	}
	e.other().grant()
	e.settle()
}

// grant lets the peer of e send what the far end takes: not more than the far end's window
// admits, and not more than what may have to be queued here. It does so in steps, when
// half of the window is used. The window grows while the far end takes more.
func (e *end) grant() {
	to := e.other()
	if e.x.copier != nil {
		e.grantCopy()
		return
	}
	if e.closed || e.got || e.id == 0 || to.closed || to.id == 0 || e.credit > e.size/2 {
		return
	}
	queued := to.queue.len()
	if s := e.leg.s; to.window >= e.size && 2*e.size <= largestWindow && s.extra+e.size <= growth {
		s.extra += e.size
		e.size *= 2
	}
	want := min(to.window, e.size) - queued
	if more := want - e.credit; more > 0 && (more >= e.size/4 || e.credit <= want/2) {
		e.leg.putUint32(framing.FrameWindowUpdate, e.id, uint32(more))
		e.credit = want
	}
}

// onWindow follows WINDOW_UPDATE.
func (l *leg) onWindow(f frame) error {
	if len(f.payload) != 4 {
		return &fault{framing.ErrCodeFrameSize, "WINDOW_UPDATE of a wrong length"}
	}
	more := int(binary.BigEndian.Uint32(f.payload) & maxWindow)
	if f.id == 0 {
		if more == 0 {
			return &fault{framing.ErrCodeProtocol, "WINDOW_UPDATE of nothing"}
		}
		if l.window += more; l.window > maxWindow {
			return &fault{framing.ErrCodeFlowControl, "a window that is too large"}
		}
		if l.ready.first != nil {
			l.touch()
		}
		return nil
	}
	e := l.streams[f.id]
	switch {
	case e == nil && l.idle(f.id):
		return &fault{framing.ErrCodeProtocol, "WINDOW_UPDATE of a stream that was not opened"}
	case e == nil: // of a stream that has just ended; they are as many as those before
		return nil
	case more == 0:
		return e.x.abort(e, framing.ErrCodeProtocol)
	case e.window+more > maxWindow:
		return e.x.abort(e, framing.ErrCodeFlowControl)
	}
	e.window += more
	e.schedule()
	e.other().grant()
	return nil
}
