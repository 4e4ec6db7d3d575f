package http1

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
)

// maxOpen bounds the requests of one connection that wait for their responses.
const maxOpen = 1024

// exchange is a request and the response that it waits for.
type exchange struct {
	// far has the request. It is nil if the agent answers.
	far *far
	// head and connect say that the method is HEAD or CONNECT, and upgrade that the request
	// asks for another protocol.
	head, connect, upgrade bool
	// last says that no other request follows.
	last bool
	// idempotent says that the method is, and again is a copy of the request, of the pool; nil
	// if it is not sent again: see keep.
	idempotent bool
	again      *[]byte
	// raw says that everything from here on is passed on unread.
	raw bool
}

// order keeps the exchanges of one connection in the order of their requests, which is
// that of their responses. It says which far end may write to the caller, and which one
// has the rest of the connection.
type order struct {
	mu      sync.Mutex
	changed sync.Cond // something below has changed

	reading bool // a request is being read, and is no exchange yet

	open   []exchange // that are not complete, from first on
	first  int
	fars   []*far // those that live
	latest *far   // that has had the last request

	// rest has all that is left of the connection: no other far end writes to the caller
	// any more. Tunnel says that it reads all that the caller sends, too.
	rest     *far
	tunnel   bool
	draining bool // what the caller still sends is dropped
	ended    bool // nothing more is sent to the caller

	over bool // the connection is closed
	err  error
}

var (
	errGone = errors.New("the stream has ended")
	// errRest says that another far end has the rest of the connection.
	errRest = errors.New("the connection takes no more requests")
)

// of returns the far end of a target; nil if there is none that lives.
func (o *order) of(target any) *far {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.fars {
		if f.target == target {
			return f
		}
	}
	return nil
}

// add puts exchanges at the end, which f has; nil, if the agent answers. Sending says that
// the far end has not got all of the last request yet: see sent.
func (o *order) add(sending bool, f *far, batch ...exchange) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		switch {
		case o.over:
			return o.err
		case o.rest != nil:
			return errRest
		case f != nil && f.dead:
			return errGone
		}
		if len(o.open)-o.first+len(batch) <= maxOpen {
			break
		}
		o.changed.Wait()
	}
	if o.first > 0 && len(o.open)+len(batch) > cap(o.open) {
		o.open = o.open[:copy(o.open, o.open[o.first:])]
		o.first = 0
	}
	for _, x := range batch {
		x.far = f
		o.open = append(o.open, x)
	}
	o.reading = false
	if f != nil {
		f.pending += len(batch)
		f.sending = sending
		o.latest = f
	}
	return nil
}

// retract takes the last n exchanges back, which were added for f: the requests go
// elsewhere. Latest is what had the last request before.
func (o *order) retract(f *far, n int, latest *far) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open = o.open[:len(o.open)-n]
	f.pending -= n
	o.latest, o.reading = latest, true
	o.changed.Broadcast()
}

// lastFar is the far end that has had the last request; nil if there is none.
func (o *order) lastFar() *far {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.latest
}

// reads says whether a request is being read. Add ends that, too.
func (o *order) reads(reading bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reading = reading
}

// sent says that f has got all of the request.
func (o *order) sent(f *far) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f.sending = false
}

// turn waits until the oldest exchange of f is the first of all. It is false if f has no
// exchange, or none of its turn will come. A nil f is the agent itself.
func (o *order) turn(f *far) (exchange, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.over && (f == nil || f.pending > 0) && (o.rest == nil || o.rest == f) {
		if x := o.open[o.first]; x.far == f {
			return x, true
		}
		o.changed.Wait()
	}
	return exchange{}, false
}

// done removes the first exchange, which is complete.
func (o *order) done() {
	o.mu.Lock()
	defer o.mu.Unlock()
	x := &o.open[o.first]
	if x.far != nil {
		x.far.pending--
	}
	x.forget()
	if o.first++; o.first == len(o.open) {
		o.open, o.first = o.open[:0], 0
	}
	o.changed.Broadcast()
}

// takeRest makes f the far end that has all that is left of the connection.
func (o *order) takeRest(f *far, tunnel bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rest, o.tunnel = f, tunnel
	o.changed.Broadcast()
}

// end says that nothing more is sent to the caller. It says whether what the caller still
// sends matters.
func (o *order) end() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	o.changed.Broadcast()
	return o.tunnel && !o.draining
}

// readDeadline bounds how long reads from the caller may take, unless the time that is left
// to the caller at the end does already.
func (o *order) readDeadline(caller tunnel.Stream, until time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.ended {
		caller.SetReadDeadline(until)
	}
	return !o.ended
}

// drain says that what the caller still sends is dropped. It says whether anything is
// still sent to the caller.
func (o *order) drain() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.draining = true
	return !o.ended
}

// theRest returns the far end that has all that is left; nil, if there is none. It says
// whether that takes what the caller still sends.
func (o *order) theRest() (f *far, takes bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.rest, o.rest != nil && (o.tunnel || o.rest.application)
}

// settle waits until all exchanges are complete, or a far end has the rest.
func (o *order) settle() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.over && o.rest == nil && o.first < len(o.open) {
		o.changed.Wait()
	}
}

// finish waits until the caller, which sends no more, has got all that it gets.
func (o *order) finish() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.over && !o.ended && (o.rest != nil || o.first < len(o.open) || o.latest != nil && o.latest.application && !o.latest.dead) {
		o.changed.Wait()
	}
}

// join adds a far end, unless the connection is over.
func (o *order) join(f *far) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over {
		return false
	}
	o.fars = append(o.fars, f)
	return true
}

// leave removes a far end that is to have no more requests. It leaves one alone that has
// not answered all of them, and says so.
func (o *order) leave(f *far) (left, busy bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case f.dead, o.over:
		return false, false
	case f.pending > 0 || f.sending || o.rest == f:
		return false, true
	}
	f.dead = true
	o.fars = slices.DeleteFunc(o.fars, func(other *far) bool { return other == f })
	o.changed.Broadcast()
	return true, false
}

// asked says that f has requests to answer, in its turn.
func (o *order) asked(f *far) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.over && f.pending > 0 && (o.rest == nil || o.rest == f)
}

// streams are those of the far ends that live. Ended says that nothing more is sent to the
// caller.
func (o *order) streams() (list []tunnel.Stream, ended bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.fars {
		list = append(list, f.stream)
	}
	return list, o.ended
}

// boundWrites bounds how long writes to targets may take: one of them may not read.
func (o *order) boundWrites(until time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.fars {
		f.stream.SetWriteDeadline(until)
	}
}

// speaks says what becomes of a far end whose stream ended, or which sent something, when
// it had no exchange: whether it has the rest of the connection. That is what the caller
// sees without the agent if the application had the last request.
func (o *order) speaks(f *far, ended bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over || f.dead || o.rest != nil {
		return false
	}
	if f.sending || f.application && o.latest == f && o.first == len(o.open) && !(ended && o.reading) {
		o.rest, o.tunnel = f, !ended && f.application
		o.changed.Broadcast()
		return true
	}
	return false
}

// close makes the connection over. It is false if it was over before; the first error
// stays.
func (o *order) close(err error) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over {
		return false
	}
	o.over, o.err = true, err
	o.changed.Broadcast()
	return true
}
