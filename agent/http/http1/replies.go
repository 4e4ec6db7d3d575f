package http1

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/agent/mirror"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
)

// replies are the mirror.Answers of requests.
type replies struct {
	in   input
	head http.Head

	mu   sync.Mutex
	open []exchange // the requests that wait for their responses
}

func newReplies() mirror.Answers { return new(replies) }

// Asked implements mirror.Answers. The first bytes of a request begin with its whole head.
func (r *replies) Asked(first []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = append(r.open, exchange{
		head:    bytes.HasPrefix(first, []byte("HEAD ")),
		connect: bytes.HasPrefix(first, []byte("CONNECT ")),
		upgrade: true, // one that does not ask for it has no 101
	})
}

// next removes the request that the next response is for. It is false if there is none.
func (r *replies) next() (exchange, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.open) == 0 {
		return exchange{}, false
	}
	x := r.open[0]
	r.open = slices.Delete(r.open, 0, 1)
	return x, true
}

// Read implements mirror.Answers.
func (r *replies) Read(s tunnel.Stream, answered func(last bool)) error {
	defer r.in.close()
	if err := r.in.open(s, nil); err != nil {
		return err
	}
	for {
		if err := r.in.wait(); err != nil {
			return err
		}
		x, ok := r.next()
		if !ok {
			return mirror.ErrUntold
		}
		last, err := r.response(&x)
		if errors.Is(err, mirror.ErrUntold) {
			return err
		}
		if answered(last || err != nil); err != nil {
			return err
		}
	}
}

// response reads a response, with those of status 1xx before it. An error that is not
// mirror.ErrUntold comes behind the head of the response: a part of its body is missing.
func (r *replies) response(x *exchange) (last bool, err error) {
	for {
		size, flaw, err := readHead(&r.in, statusLine, nil)
		if err != nil || flaw != "" {
			return false, mirror.ErrUntold
		}
		r.head.ParseResponse(r.in.bytes()[:size])
		m, flaw := response(&r.head, x)
		final := r.head.Status >= 200 || m.switches
		r.head.Reset()
		r.in.skip(size)
		if flaw != "" {
			return false, mirror.ErrUntold
		}
		if err := r.body(&m.body); final || err != nil {
			return m.last || m.switches, err
		}
	}
}

// body reads a body.
func (r *replies) body(b *body) error {
	for !b.done() {
		if r.in.empty() {
			switch err := r.in.fill(); {
			case errors.Is(err, io.EOF) && b.kind == toEnd:
				return nil
			case err != nil:
				return err
			}
		}
		n, flaw := b.feed(r.in.bytes())
		if r.in.skip(n); flaw != "" {
			return io.ErrUnexpectedEOF
		}
	}
	return nil
}
