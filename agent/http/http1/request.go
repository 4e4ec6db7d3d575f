package http1

import (
	"errors"
	"fmt"
	"io"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
)

// serve sends one request to where it is to go. It is false if it was the last.
func (c *conn) serve() (more bool, err error) {
	size, flaw, err := readHead(&c.in, requestLine)
	switch {
	case errors.Is(err, io.EOF):
		flaw = flawCut
	case err != nil:
		return false, c.callerEnded(err)
	}
	var m message
	if flaw == "" {
		c.head.ParseRequest(c.in.bytes()[:size])
		if m, flaw = request(&c.head); !c.head.Complete {
			flaw = http.FlawLine
		}
	}
	if flaw != "" {
		return false, c.serveOpaque(flaw)
	}
	c.head.Describe(&c.request)
	x := exchange{head: string(c.head.Method) == "HEAD", connect: string(c.head.Method) == "CONNECT", upgrade: m.upgrade, last: m.last}
	c.careful = m.switches
	d := c.to.Decide(&c.request)
	c.head.Reset()
	c.request = match.Request{}
	n, flaw := m.body.feed(c.in.bytes()[size:])
	c.copies = nil
	if len(d.Copies) > 0 && !m.switches { // what follows a switch is no request
		c.copies = c.mirrorsOf(d.Copies)
	}
	first := c.in.bytes()[:size+n]
	if d.Answer == nil {
		first = c.throughFlaw(size+n, flaw)
	}
	for d.Answer == nil {
		if d.To == nil {
			return false, errors.New("the request has no target")
		}
		d.To.Arrived()
		f, err := c.send(d.To, x, first, !m.body.done())
		switch missed := asMissed(err); {
		case missed != nil:
			d = d.To.Missed(missed.err)
			continue
		case errors.Is(err, errRest):
			return false, c.passRest()
		case f == nil:
			return false, err
		case err != nil:
			return false, c.drop()
		}
		for _, copied := range c.copies {
			copied.Begin(c.in.bytes()[:size+n])
		}
		c.in.skip(len(first))
		return c.sendBody(f, &m, flaw)
	}
	return c.answer(d.Answer, &x, &m, size+n, flaw)
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
// connection takes no more requests. Partial says that more of the request follows.
func (c *conn) send(to http.Target, x exchange, first []byte, partial bool) (*far, error) {
	if f := c.of(to); f != nil {
		x.far = f
		switch err := c.add(x, partial); {
		case err == nil:
			return f, f.send(first)
		case !errors.Is(err, errGone):
			return nil, err
		}
	}
	stream, err := to.Open(c.ctx, first)
	switch {
	case err != nil && c.ctx.Err() != nil: // the caller's connection has ended meanwhile
		return nil, err
	case err != nil:
		return nil, &missedError{err}
	}
	f := &far{conn: c, target: to, application: to == c.to.Application(), stream: stream, gone: make(chan struct{})}
	if err := f.in.open(stream, nil); err != nil {
		stream.Reset()
		return nil, err
	}
	if !c.join(f) {
		stream.Reset()
		return nil, c.err
	}
	to.Moved(len(first), 0)
	x.far = f
	if err := c.add(x, partial); err != nil {
		c.leave(f)
		stream.Reset()
		return nil, err
	}
	c.lives.Go(f.run)
	if gone := to.Gone(); gone != nil {
		c.lives.Go(func() { f.watch(gone) })
	}
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
				if err := tunnel.SpliceN(f.in.tcp, c.in.tcp, m.body.left, f.movedIn); err != nil {
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
		if err := c.add(exchange{far: f, raw: true}, true); err != nil {
			return false, c.passRest()
		}
		return false, c.passOn(f, true)
	}
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
	f, err := c.send(c.to.Application(), exchange{raw: true}, b, true)
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
