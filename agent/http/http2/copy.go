package http2

import (
	"slices"
	"time"

	framing "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
)

const (
	// maxCopied is how many bytes of header fields and bodies wait for the targets of copies.
	maxCopied = 2 << 20
	// maxCopies is how many copies wait for a target that takes no more at once.
	maxCopies = 100
	// linger is how long copies may take once the caller's connection has ended, and
	// lingerCost what a connection to their target takes until then.
	linger     = 5 * time.Second
	lingerCost = 64 << 10
)

// copyTo sends a copy of a request. It is an exchange whose caller has left, so that what
// the target answers goes nowhere.
func (x *exchange) copyTo(t http.Copier) {
	s := x.caller.leg.s
	t.Arrived()
	if s.copied+x.weight > maxCopied || t.Full() {
		t.Missed(http.ErrSlow)
		return
	}
	l := s.legTo(t)
	if len(l.waiting) >= maxCopies { // of a leg that others wait for
		t.Missed(http.ErrSlow)
		return
	}
	y := &exchange{fields: slices.Clone(x.fields), weight: x.weight, kind: x.kind, copier: t}
	y.caller = end{x: y, leg: s.caller, closed: true}
	y.target = end{x: y}
	y.target.over = x.target.over
	s.copied += y.weight
	t.Waits(y.weight)
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

// copier is the target of a connection that has copies; nil if it has none.
func (l *leg) copier() http.Copier {
	for _, e := range l.streams {
		if e.x.copier != nil {
			return e.x.copier
		}
	}
	for _, x := range l.waiting {
		if x.copier != nil {
			return x.copier
		}
	}
	return nil
}

// outlives says that a connection has copies that go on although the caller's connection has
// ended: those of whole requests. The others end.
func (l *leg) outlives() bool {
	for _, e := range l.streams {
		if e.x.copier != nil && !e.over {
			e.kill(framing.ErrCodeCancel)
		}
	}
	for _, x := range slices.Clone(l.waiting) {
		if x.copier != nil && !x.target.over {
			x.target.part()
		}
	}
	t := l.copier()
	if t == nil || t.Full() || l.closed || l.closing {
		return false
	}
	t.Waits(lingerCost)
	l.lingers = t
	return true
}

// grantCopy lets the target of a copy send its answer, which is thrown away.
func (e *end) grantCopy() {
	if !e.closed && !e.got && e.id != 0 && e.credit <= firstWindow/2 {
		e.leg.putUint32(framing.FrameWindowUpdate, e.id, uint32(firstWindow-e.credit))
		e.credit = firstWindow
	}
}
