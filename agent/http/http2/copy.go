package http2

import (
	"slices"

	framing "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
)

const (
	// maxCopied is how many bytes of bodies wait for the targets of copies.
	maxCopied = 2 << 20
	// maxCopies is how many copies wait for a target that takes no more at once.
	maxCopies = 100
)

// copyTo sends a copy of a request. It is an exchange whose caller has left, so that what
// the target answers goes nowhere.
func (x *exchange) copyTo(t http.Copier) {
	s := x.caller.leg.s
	t.Arrived()
	if t.Full() {
		t.Missed(http.ErrSlow)
		return
	}
	l := s.legTo(t)
	if len(l.waiting) >= maxCopies { // of a leg that others wait for
		t.Missed(http.ErrSlow)
		return
	}
	y := &exchange{fields: slices.Clone(x.fields), kind: x.kind, copier: t}
	y.caller = end{x: y, leg: s.caller, closed: true}
	y.target = end{x: y}
	e := &y.target
	e.trailers, e.over = x.target.trailers, x.target.over
	e.queue.push(x.target.queue.b[x.target.queue.head:])
	e.drained(-e.queue.len())
	x.copies = append(x.copies, y)
	l.begin(y)
}

// toCopies sends what has arrived from the caller to the copies, and never waits for them:
// a copy that is too slow is dropped.
func (x *exchange) toCopies(p []byte, over bool, trailers []hpack.HeaderField) {
	for _, y := range x.copies {
		e := &y.target
		switch {
		case e.closed || e.sent:
		case x.caller.leg.s.copied+len(p) > maxCopied || y.copier.Full():
			if e.leg != nil {
				e.leg.target.Missed(http.ErrSlow)
			}
			e.kill(framing.ErrCodeCancel)
		case trailers != nil:
			e.trailers, e.over = trailers, true
			e.schedule()
		default:
			e.send(p, over)
		}
	}
}

// dropCopies ends the copies of a request that the caller has given up.
func (x *exchange) dropCopies() {
	for _, y := range x.copies {
		y.target.kill(framing.ErrCodeCancel)
	}
	x.copies = nil
}

// grantCopy lets the target of a copy send its answer, which is thrown away.
func (e *end) grantCopy() {
	if !e.closed && !e.got && e.id != 0 && e.credit <= firstWindow/2 {
		e.leg.putUint32(framing.FrameWindowUpdate, e.id, uint32(firstWindow-e.credit))
		e.credit = firstWindow
	}
}
