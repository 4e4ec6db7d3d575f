package http1

import (
	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
)

// maxBatch bounds the requests that leave in one write. It is far below maxOpen.
const maxBatch = 64

// asked is a request of which the head has arrived, with what was decided about it.
type asked struct {
	exchange exchange
	message  message
	decision http.Decision
	size     int    // of what has arrived of it
	flaw     string // of what follows that; empty for none
}

// ask decides about the request at the beginning of b, whose head has this size. Flaw says
// why it is not told apart.
func (c *conn) ask(b []byte, size int) (a asked, flaw string) {
	defer c.head.Reset()
	c.head.ParseRequest(b[:size])
	if a.message, flaw = request(&c.head); !c.head.Complete {
		flaw = http.FlawLine
	}
	if flaw != "" {
		return a, flaw
	}
	c.head.Describe(&c.request)
	method, m := string(c.head.Method), &a.message
	a.exchange = exchange{head: method == "HEAD", connect: method == "CONNECT", upgrade: m.upgrade, last: m.last,
		idempotent: http.Idempotent(method) && !m.switches}
	if c.counted > 0 {
		c.counted--
		a.decision = c.to.DecideAgain(&c.request)
	} else {
		a.decision = c.to.Decide(&c.request)
	}
	c.request = match.Request{}
	n, flaw := m.body.feed(b[size:])
	a.size, a.flaw = size+n, flaw
	return a, ""
}

// plain says that a request goes to one target, and that the next one can be read at once.
func (a *asked) plain() bool {
	return a.decision.Answer == nil && len(a.decision.Copies) == 0 && a.flaw == "" && !a.message.switches
}

// pipelined makes a batch of a and of the requests for the same target that have arrived
// behind it. They leave in one write, as they came: a server that closes the connection
// after the first response would reset it if the others arrived later, and the caller could
// lose that response. It returns the last request of the batch, and the size of all.
func (c *conn) pipelined(a asked) (last asked, size int) {
	c.batch = append(c.batch[:0], a.exchange)
	last, size = a, a.size
	for last.plain() && last.message.body.done() && !last.message.last && len(c.batch) < maxBatch {
		rest := c.in.bytes()[size:]
		var s http.Scan
		head, flaw := s.End(rest)
		if head == 0 || flaw != "" {
			break
		}
		next, flaw := c.ask(rest, head)
		if flaw != "" {
			break
		}
		if !next.plain() || next.decision.To != a.decision.To {
			c.ahead, c.isAhead = next, true
			break
		}
		c.batch = append(c.batch, next.exchange)
		last, size = next, size+next.size
	}
	return last, size
}

// next waits for a request and decides about it, unless pipelined has done so. Flaw says
// why it is not told apart.
func (c *conn) next() (a asked, flaw string, err error) {
	if c.isAhead {
		c.isAhead = false
		return c.ahead, "", nil
	}
	size, flaw, err := c.readHead()
	if err != nil || flaw != "" {
		return a, flaw, err
	}
	a, flaw = c.ask(c.in.bytes(), size)
	return a, flaw, nil
}
