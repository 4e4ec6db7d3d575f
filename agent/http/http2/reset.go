package http2

import (
	"encoding/binary"

	framing "golang.org/x/net/http2"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
)

// onReset passes on RST_STREAM with its code.
func (l *leg) onReset(f frame) error {
	if len(f.payload) != 4 {
		return &fault{framing.ErrCodeFrameSize, "RST_STREAM of a wrong length"}
	}
	e := l.streams[f.id]
	switch {
	case e == nil && l.idle(f.id):
		return &fault{framing.ErrCodeProtocol, "RST_STREAM of a stream that was not opened"}
	case e == nil:
		return l.bear()
	}
	code := framing.ErrCode(binary.BigEndian.Uint32(f.payload))
	x, to, whole := e.x, e.other(), e.got
	if l.target == nil {
		if !x.answered && !l.patient() {
			return errTooMany
		}
		e.part()
		to.kill(code)
		return nil
	}
	e.part()
	if to.closed {
		return nil
	}
	if whole && !to.sent { // the answer is complete, but not all of it was passed on
		to.reset, to.code = true, code
		return nil
	}
	x.fail(code)
	return nil
}

// abort ends an exchange because the peer at e broke the rules of its stream. A peer may
// not do so all the time: it would make targets begin what nobody waits for.
func (x *exchange) abort(e *end, code framing.ErrCode) error {
	if !e.leg.patient() {
		return errTooMany
	}
	to := e.other()
	e.kill(code)
	if e == &x.caller {
		to.kill(framing.ErrCodeCancel)
	} else {
		x.fail(framing.ErrCodeInternal)
	}
	return nil
}

// fail tells the caller that its request has no answer, or no end of it. What has come of
// it goes first, as far as the windows allow.
func (x *exchange) fail(code framing.ErrCode) {
	x.target.part()
	e := &x.caller
	for e.queue.len() > 0 && min(e.window, e.leg.window) > 0 {
		e.leg.carry(e)
	}
	if !e.closed {
		e.kill(code)
	}
}

// lose is fail for a target that is lost. Calls of gRPC get the status that clients know
// from a server that goes away. Other requests are refused if the caller may send them
// again without harm, though the target may have worked on them.
func (x *exchange) lose(why string) {
	e := &x.caller
	switch {
	case e.closed || e.over && x.answered:
		x.target.part() // the answer is complete
	case x.kind.grpc && !x.answered:
		x.answer(&http.Answer{GRPC: http.Unavailable, Body: why})
	case x.kind.grpc:
		x.target.part()
		e.trailers, e.over = statusOf(http.Unavailable, why), true
		e.reset, e.code = true, framing.ErrCodeNo
		e.schedule()
	case !x.answered && x.kind.again && !x.target.carried:
		x.fail(framing.ErrCodeRefusedStream)
	default:
		x.fail(framing.ErrCodeInternal)
	}
}
