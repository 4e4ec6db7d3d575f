package http2

import (
	"fmt"
	"io"

	framing "golang.org/x/net/http2"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/buffer"
)

// The sizes of reads. A quiet connection waits with the smallest buffer.
const (
	smallRead  = 256
	mediumRead = 4 << 10
	largeRead  = 32 << 10
)

// reader reads the frames of one connection.
type reader struct {
	src io.Reader
	box *[]byte // of the pool
	b   []byte  // what was read and is not used yet, within box
	// next is the size of the next read. It follows from how full the last one was.
	next int
}

// newReader returns a reader of a connection on which first was read already.
func newReader(src io.Reader, first []byte) *reader {
	r := &reader{src: src, next: smallRead}
	if len(first) > 0 {
		r.box = buffer.Pool().Get(len(first))
		r.b = *r.box
		copy(r.b, first)
	}
	return r
}

// ready says that a whole frame is there, so that the next read does not wait.
func (r *reader) ready() bool {
	if len(r.b) < headSize {
		return false
	}
	_, size := parseHead(r.b)
	return len(r.b) >= headSize+size
}

// frame reads the next frame.
func (r *reader) frame() (frame, error) {
	if err := r.need(headSize); err != nil {
		return frame{}, err
	}
	f, size := parseHead(r.b)
	if size > maxFrame {
		return frame{}, &fault{framing.ErrCodeFrameSize, fmt.Sprintf("a frame of %d bytes", size)}
	}
	if err := r.need(headSize + size); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return frame{}, err
	}
	f.payload = r.b[headSize : headSize+size]
	r.b = r.b[headSize+size:]
	return f, nil
}

// need reads until n bytes are there. The error is io.EOF only if there is none.
func (r *reader) need(n int) error {
	for len(r.b) < n {
		space := r.space(n)
		m, err := r.src.Read(space)
		r.b = r.b[:len(r.b)+m]
		switch {
		case m == len(space):
			r.next = min(16*r.next, largeRead)
		case m >= r.next/16:
		case r.next == largeRead:
			r.next = mediumRead
		default:
			r.next = smallRead
		}
		if err != nil && len(r.b) < n {
			if err == io.EOF && len(r.b) > 0 {
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// space returns where to read to, behind what is there. In all there is room for n.
func (r *reader) space(n int) []byte {
	have := len(r.b)
	if free := r.b[have:cap(r.b)]; have > 0 && have+len(free) >= n {
		return free
	}
	if have == 0 {
		r.release()
	}
	box := buffer.Pool().Get(max(n, r.next))
	b := (*box)[:cap(*box)]
	copy(b, r.b)
	r.release()
	r.box, r.b = box, b[:have]
	return b[have:max(n, r.next, have+1)]
}

// release gives the buffer back.
func (r *reader) release() {
	if r.box != nil {
		buffer.Pool().Put(r.box)
	}
	r.box, r.b = nil, nil
}
