package http1

import (
	"fmt"
	"net/http"

	agenthttp "github.com/kubectl-intercept/kubectl-intercept/agent/http"
)

// maxDrop bounds the body of a request, in bytes, that is read although the agent answers
// itself. A caller that sends more has to connect anew.
const maxDrop = 256 << 10

// answer sends the agent's own response when it is its turn. Read is how much of the
// input belongs to the request. It is false if the connection takes no more requests.
func (c *conn) answer(a *agenthttp.Answer, x *exchange, m *message, read int, flaw string) (more bool, err error) {
	if err := c.add(false, nil, exchange{}); err != nil {
		return false, c.passRest()
	}
	last := x.last || flaw != "" || !m.body.done() && (m.expects || m.body.kind != sized || m.body.left > maxDrop)
	c.in.skip(read)
	if _, ok := c.turn(nil); !ok {
		return false, c.passRest() // closing at once could cost the caller what it was sent last
	}
	if _, err := c.caller.Write(render(a, x.head, last)); err != nil {
		return false, err
	}
	if last {
		if err := c.closeWrite(); err != nil {
			return false, err
		}
		return false, c.drop()
	}
	for !m.body.done() {
		if c.in.empty() {
			if err := c.in.fill(); err != nil {
				return false, c.callerEnded(err)
			}
		}
		n, _ := m.body.feed(c.in.bytes())
		c.in.skip(n)
	}
	c.careful = false
	c.done()
	return true, nil
}

// render writes an Answer as a response; last says that the connection ends.
func render(a *agenthttp.Answer, headOnly, last bool) []byte {
	b := fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n",
		a.Status, http.StatusText(a.Status), len(a.Body))
	for _, f := range a.Fields {
		b = fmt.Appendf(b, "%s: %s\r\n", f.Name, f.Value)
	}
	if last {
		b = append(b, "Connection: close\r\n"...)
	}
	b = append(b, "\r\n"...)
	if !headOnly {
		b = append(b, a.Body...)
	}
	return b
}
