package http2

import (
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/buffer"
)

// outbox holds the bytes that are to be written next to a connection. It has no memory
// while it is empty.
type outbox struct {
	b   []byte
	box *[]byte // of the pool, under b
}

// extend makes the outbox n bytes longer and returns those.
func (o *outbox) extend(n int) []byte {
	have := len(o.b)
	if have+n > cap(o.b) {
		size := have + n
		if have > 0 {
			size = max(size, 2*cap(o.b))
		}
		box := buffer.Pool().Get(size)
		b := append((*box)[:0], o.b...)
		o.release()
		o.b, o.box = b, box
	}
	o.b = o.b[:have+n]
	return o.b[have:]
}

// Write implements io.Writer for the encoder of header fields.
func (o *outbox) Write(p []byte) (int, error) { return copy(o.extend(len(p)), p), nil }

// release gives the memory back.
func (o *outbox) release() {
	if o.box != nil {
		buffer.Pool().Put(o.box)
	}
	o.b, o.box = nil, nil
}

// queue holds the bytes of one stream that could not be passed on yet. It has no memory
// while it is empty.
type queue struct {
	b    []byte
	box  *[]byte // of the pool, under b
	head int
}

func (q *queue) len() int { return len(q.b) - q.head }

func (q *queue) push(p []byte) {
	have := q.len()
	switch {
	case len(q.b)+len(p) <= cap(q.b):
	case q.head > have && have+len(p) <= cap(q.b):
		q.b, q.head = q.b[:copy(q.b, q.b[q.head:])], 0
	default:
		box := buffer.Pool().Get(max(have+len(p), 2*have))
		b := append((*box)[:0], q.b[q.head:]...)
		q.release()
		q.b, q.box = b, box
	}
	q.b = append(q.b, p...)
}

// first returns the first n bytes, which are valid until the next call of another method.
func (q *queue) first(n int) []byte { return q.b[q.head : q.head+n] }

// skip removes the first n bytes.
func (q *queue) skip(n int) {
	if q.head += n; q.head == len(q.b) {
		q.release()
	}
}

// drop empties the queue, and returns how many bytes it had.
func (q *queue) drop() int {
	n := q.len()
	q.release()
	return n
}

func (q *queue) release() {
	if q.box != nil {
		buffer.Pool().Put(q.box)
	}
	q.b, q.box, q.head = nil, nil, 0
}
