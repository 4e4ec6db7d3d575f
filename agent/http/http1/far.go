package http1

import (
	"errors"
	"io"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/buffer"
)

// far is one far end of a caller's connection, with the stream to it. Its goroutine reads
// the responses, and writes each to the caller when it is its turn.
type far struct {
	conn        *conn
	target      http.Target
	application bool
	stream      tunnel.Stream
	in          input
	head        http.Head
	gone        chan struct{} // closed when the goroutine has ended

	// The order guards these.
	pending int  // exchanges that are not complete
	sending bool // the last request is not sent completely
	dead    bool // nothing more is sent to it
}

func (c *conn) newFar(to http.Target) *far {
	return &far{conn: c, target: to, application: to == c.to.Application(), gone: make(chan struct{})}
}

// open opens the stream and sends first on it. If there is an error, the target has got
// nothing.
func (f *far) open(first []byte) error {
	stream, err := f.target.Open(f.conn.ctx, first)
	if err != nil {
		return err
	}
	f.stream = stream
	if err := f.in.open(stream, nil); err != nil {
		stream.Reset()
		return err
	}
	f.target.Moved(len(first), 0)
	return nil
}

// start lets a far end that has joined relay responses.
func (c *conn) start(f *far) {
	c.lives.Go(f.run)
	if gone := f.target.Gone(); gone != nil {
		c.lives.Go(func() { f.watch(gone) })
	}
}

// run relays responses until the stream ends.
func (f *far) run() {
	defer close(f.gone)
	defer f.in.close()
	for {
		err := f.in.wait()
		x, ok := f.conn.turn(f)
		for !ok {
			if !f.unasked(err) {
				return
			}
			x, ok = f.conn.turn(f)
		}
		if !f.respond(&x, err) {
			return
		}
	}
}

// watch resets what the target has not answered when it is to have no more requests.
func (f *far) watch(gone <-chan struct{}) {
	select {
	case <-gone:
		switch left, busy := f.conn.leave(f); {
		case left:
			closeStream(f.stream)
		case busy:
			f.conn.fail(errors.New("the intercept ended during a request"))
		}
	case <-f.gone:
	}
}

// respond relays the response of an exchange. It is false if nothing else follows on the
// stream.
func (f *far) respond(x *exchange, err error) bool {
	c := f.conn
	if err != nil && f.sendAgain(x) {
		return false
	}
	if x.raw {
		c.takeRest(f, true)
		f.relayRest(false, err)
		return false
	}
	for err == nil {
		size, flaw, ended := readHead(&f.in, statusLine, nil)
		if err = ended; err != nil {
			break
		}
		var m message
		if flaw == "" {
			f.head.ParseResponse(f.in.bytes()[:size])
			m, flaw = response(&f.head, x)
		}
		if flaw != "" {
			c.opaque("response: " + flaw)
			c.takeRest(f, f.application)
			f.relayRest(false, nil)
			return false
		}
		if m.switches || m.last {
			c.takeRest(f, m.switches) // before the caller can know
		}
		final := f.head.Status >= 200 || m.switches
		f.head.Reset()
		if flaw, err = f.relay(size, &m.body, final); err != nil {
			break
		}
		switch {
		case flaw != "":
			c.opaque("response: " + flaw)
			c.takeRest(f, f.application)
			f.relayRest(false, nil)
			return false
		case m.switches || m.last:
			f.relayRest(m.body.kind != toEnd, nil)
			return false
		case final:
			c.done()
			return true
		}
	}
	if !errors.Is(err, io.EOF) {
		c.fail(err)
		return false
	}
	c.takeRest(f, false)
	f.relayRest(false, err)
	return false
}

// relay writes a head of this size and the body to the caller. The error is io.EOF if the
// stream ends before, and another one if the caller or the stream is broken. Flaw says why
// what follows is not told apart. What ends with the stream is left to relayRest.
func (f *far) relay(size int, b *body, final bool) (flaw string, err error) {
	n, flaw := b.feed(f.in.bytes()[size:])
	if mark := f.target.Mark(); final && mark.Name != "" {
		err = f.writeMarked(f.in.bytes()[:size+n], size, mark)
	} else {
		err = f.write(f.in.bytes()[:size+n])
	}
	f.in.skip(size + n)
	for err == nil && flaw == "" && !b.done() && b.kind != toEnd {
		if f.in.empty() {
			if f.splices(b) {
				return "", f.splice(b)
			}
			if err = f.in.fill(); err != nil {
				break
			}
		}
		n, flaw = b.feed(f.in.bytes())
		err = f.write(f.in.bytes()[:n])
		f.in.skip(n)
	}
	return flaw, err
}

// splices says that the kernel moves the rest of a body.
func (f *far) splices(b *body) bool {
	return b.kind == sized && b.left >= minSplice && f.in.tcp != nil && f.conn.in.tcp != nil
}

func (f *far) splice(b *body) error {
	f.in.release()
	err := tunnel.SpliceN(f.conn.caller, f.stream, b.left, f.movedOut)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}

// relayRest relays to the caller until the stream ends; err says that it has. F has the
// rest of the connection. Answered says that the caller has got the last response: a reset
// is no more than an end then.
func (f *far) relayRest(answered bool, err error) {
	c := f.conn
	if werr := f.write(f.in.bytes()); err == nil && werr != nil {
		err = werr
	}
	f.in.skip(len(f.in.bytes()))
	if err == nil {
		err = f.copyRest()
	}
	if err != nil && !errors.Is(err, io.EOF) && !answered {
		c.fail(err)
		return
	}
	if err := c.closeWrite(); err != nil {
		c.fail(err)
	}
}

// copyRest relays until the stream ends.
func (f *far) copyRest() error {
	if f.in.tcp != nil && f.conn.in.tcp != nil {
		f.in.release()
		return tunnel.Splice(f.conn.caller, f.stream, f.movedOut)
	}
	for {
		if err := f.in.fill(); err != nil {
			return err
		}
		if err := f.write(f.in.bytes()); err != nil {
			return err
		}
		f.in.skip(len(f.in.bytes()))
	}
}

// unasked is for a stream that has ended, or on which something came, without a request. It
// is true if a request has come meanwhile, which f has to answer.
func (f *far) unasked(err error) (asked bool) {
	c := f.conn
	if c.speaks(f, err != nil) {
		f.relayRest(false, err)
		return false
	}
	if left, _ := c.leave(f); left {
		closeStream(f.stream)
		return false
	}
	return c.asked(f)
}

func (f *far) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if _, err := f.conn.caller.Write(b); err != nil {
		return err
	}
	f.target.Moved(0, len(b))
	return nil
}

// writeMarked writes b, which begins with a head of this size, with one more field.
func (f *far) writeMarked(b []byte, size int, mark http.Field) error {
	buf := buffer.Pool().Get(len(b) + len(mark.Name) + len(mark.Value) + len(": \r\n"))
	defer buffer.Pool().Put(buf)
	p := append((*buf)[:0], b[:size-2]...)
	p = append(append(append(append(p, mark.Name...), ": "...), mark.Value...), "\r\n"...)
	return f.write(append(p, b[size-2:]...))
}

func (f *far) movedIn(n int)  { f.target.Moved(n, 0) }
func (f *far) movedOut(n int) { f.target.Moved(0, n) }
