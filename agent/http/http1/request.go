package http1

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
)

// readHead waits for the head of a request.
func (c *conn) readHead() (size int, flaw string, err error) {
	size, flaw, err = readHead(&c.in, requestLine, c.boundHead)
	switch bounded := c.unboundHead(); {
	case bounded && errors.Is(err, os.ErrDeadlineExceeded):
		return 0, flawSlow, nil
	case errors.Is(err, io.EOF):
		return 0, flawCut, nil
	}
	return size, flaw, err
}

// serve sends a request to where it is to go, with those behind it that leave in the same
// write. It is false if it was the last.
func (c *conn) serve() (more bool, err error) {
	a, flaw, err := c.next()
	switch {
	case err != nil:
		return false, c.callerEnded(err)
	case flaw != "":
		return false, c.serveOpaque(flaw)
	}
	m, d := &a.message, a.decision
	c.careful = m.switches
	c.copies = nil
	if len(d.Copies) > 0 {
		c.copies = c.mirrorsOf(d.Copies, m.switches)
	}
	last, size := c.pipelined(a)
	first := c.in.bytes()[:size]
	if d.Answer == nil {
		first = c.throughFlaw(size, last.flaw)
	}
	for d.Answer == nil {
		if d.To == nil {
			return false, errors.New("the request has no target")
		}
		d.To.Arrived()
		f, err := c.send(d.To, c.batch, first, !last.message.body.done())
		switch missed := asMissed(err); {
		case missed != nil:
			if d = d.To.Missed(missed.err); len(c.batch) > 1 { // each goes its own way
				if c.counted += len(c.batch) - 1; c.isAhead {
					c.counted++
				}
				last, first, c.batch, c.isAhead = a, first[:a.size], c.batch[:1], false
			}
			continue
		case errors.Is(err, errRest):
			return false, c.passRest()
		case f == nil:
			return false, err
		case err != nil:
			return false, c.drop()
		}
		for range c.batch[1:] {
			d.To.Arrived()
		}
		for _, copied := range c.copies {
			copied.Begin(c.in.bytes()[:a.size])
		}
		c.in.skip(len(first))
		return c.sendBody(f, &last.message, last.flaw)
	}
	return c.answer(d.Answer, &a.exchange, m, a.size, a.flaw)
}

// throughFlaw returns the next n bytes of the input, or all if a flaw follows them: a server
// that refuses it would reset the connection if the rest came after its refusal.
func (c *conn) throughFlaw(n int, flaw string) []byte {
	if flaw == "" {
		return c.in.bytes()[:n]
	}
	c.opaque(flaw)
	return c.in.bytes()
}

// passRest leaves the rest to the far end that has it.
func (c *conn) passRest() error {
	f, takes := c.theRest()
	return c.passOn(f, takes)
}

// missedError says that a target could not be reached. It has got nothing.
type missedError struct{ err error }

func (m *missedError) Error() string { return fmt.Sprintf("open: %v", m.err) }

func asMissed(err error) *missedError {
	if err == nil {
		return nil
	}
	var missed *missedError
	errors.As(err, &missed)
	return missed
}

// send sends the beginning of a request to a target, by the stream that there is or by a
// new one. The error is a missedError if the target has got nothing, and errRest if the
// connection takes no more requests. First is one request for each exchange. Partial says
// that more of the last one follows.
func (c *conn) send(to http.Target, batch []exchange, first []byte, partial bool) (*far, error) {
	if f := c.of(to); f != nil {
		x := &batch[0]
		if x.far = f; len(batch) == 1 {
			x.keep(first, partial)
		}
		switch err := c.add(partial, f, batch...); {
		case err == nil && x.again != nil:
			f.send(first) // if it fails, the far end sends the request again
			return f, nil
		case err == nil:
			return f, f.send(first)
		case !errors.Is(err, errGone):
			return nil, err
		}
		x.forget()
	}
	// The exchange comes first: a target that has got a request is never passed over because
	// another one took the rest of the connection meanwhile.
	f, latest := c.newFar(to), c.lastFar()
	if err := c.add(partial, f, batch...); err != nil {
		return nil, err
	}
	switch err := f.open(first); {
	case err != nil && c.ctx.Err() != nil: // the caller's connection has ended meanwhile
		return nil, err
	case err != nil:
		c.retract(f, len(batch), latest)
		return nil, &missedError{err}
	}
	if !c.join(f) {
		f.stream.Reset()
		return nil, c.err
	}
	c.start(f)
	return f, nil
}

// send writes a part of a request.
func (f *far) send(b []byte) error {
	if _, err := f.stream.Write(b); err != nil {
		return err
	}
	f.target.Moved(len(b), 0)
	return nil
}

// sendBody sends what is left of a request's body. It is false if the request was the
// last. The rest of the connection belongs to f if the body has a flaw.
func (c *conn) sendBody(f *far, m *message, flaw string) (more bool, err error) {
	partial := !m.body.done()
	for flaw == "" && !m.body.done() {
		if c.in.empty() {
			if len(c.copies) == 0 && f.splices(&m.body) {
				c.in.release()
				if err := tunnel.SpliceN(f.stream, c.caller, m.body.left, f.movedIn); err != nil {
					return false, c.spliced(err)
				}
				break
			}
			if err := c.in.fill(); err != nil {
				return false, c.callerEnded(err)
			}
		}
		var n int
		n, flaw = m.body.feed(c.in.bytes())
		if b := c.throughFlaw(n, flaw); len(b) > 0 {
			if err := f.send(b); err != nil {
				return false, c.drop()
			}
			for _, copied := range c.copies {
				copied.Add(b[:n])
			}
			c.in.skip(len(b))
		}
	}
	if flaw != "" {
		for _, copied := range c.copies {
			copied.Drop(http.ErrCut)
		}
		if err := c.add(true, f, exchange{raw: true}); err != nil {
			return false, c.passRest()
		}
		return false, c.passOn(f, true)
	}
	c.copies = nil
	if partial {
		c.sent(f)
	}
	if m.last {
		return false, c.passOn(f, f.application)
	}
	return true, nil
}

// serveOpaque gives the rest of the connection to the application.
func (c *conn) serveOpaque(flaw string) error {
	c.opaque(flaw)
	c.head.Reset()
	b := c.in.bytes()
	f, err := c.send(c.to.Application(), []exchange{{raw: true}}, b, true)
	switch missed := asMissed(err); {
	case missed != nil:
		c.to.Application().Missed(missed.err)
		return missed
	case errors.Is(err, errRest):
		return c.passRest()
	case f == nil:
		return err
	case err != nil:
		return c.drop()
	}
	c.in.skip(len(b))
	return c.passOn(f, true)
}
