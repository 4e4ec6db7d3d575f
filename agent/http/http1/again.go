package http1

import "github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/buffer"

// keep keeps a copy of a request that can be sent again (RFC 9112, section 9.3.1): it is
// idempotent and whole, and goes to a laptop on a stream that has served others. The
// program on the laptop may end that stream at the same moment. An application that does so
// ends the caller's connection, as it would without the agent.
func (x *exchange) keep(request []byte, partial bool) {
	if x.idempotent && !partial && !x.far.application {
		x.again = buffer.Pool().Get(len(request))
		copy(*x.again, request)
	}
}

// forget gives the memory of the copy back.
func (x *exchange) forget() {
	if x.again != nil {
		buffer.Pool().Put(x.again)
		x.again = nil
	}
}

// sendAgain sends the request of an exchange on a new stream, once, since f has ended
// without a byte of the response. It is false if the request is not to be sent again.
func (f *far) sendAgain(x *exchange) bool {
	c := f.conn
	if x.again == nil || !c.abandon(f) {
		return false
	}
	next := c.newFar(f.target)
	if err := next.open(*x.again); err != nil {
		c.log.Debug("a request was not sent again", "error", err)
		return false
	}
	if !c.replace(f, next) {
		next.stream.Reset()
		return true
	}
	c.start(next)
	closeStream(f.stream)
	return true
}

// abandon lets a far end have no more requests, if its only exchange is the first of all.
func (o *order) abandon(f *far) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over || o.rest != nil || f.sending || f.pending != 1 || o.open[o.first].far != f {
		return false
	}
	f.dead = true
	return true
}

// replace gives the first exchange of all, which f had, to another far end. It is false if
// the connection is over.
func (o *order) replace(f, next *far) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over {
		return false
	}
	x := &o.open[o.first]
	x.forget()
	x.far, f.pending, next.pending = next, 0, 1
	for k := range o.fars {
		if o.fars[k] == f {
			o.fars[k] = next
		}
	}
	if o.latest == f {
		o.latest = next
	}
	return true
}
