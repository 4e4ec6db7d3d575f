package forward

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/socket"
)

// maxAnswer bounds what is read of a far end that speaks first.
const maxAnswer = 512

// silent waits while the caller is silent, by a function which a deadline of the caller's
// connection ends. It connects with the far end that has
// everything no request is taken out of, since in some protocols the server speaks first.
// It returns what that far end has sent; none means that the caller has spoken, or has
// ended. The connection is kept for what follows.
func (q *requests) silent(wait func() error) (answer []byte, err error) {
	f, err := q.open()
	if err != nil {
		return nil, err
	}
	type heard struct {
		bytes []byte
		err   error
	}
	hears := make(chan heard, 1)
	go func() {
		buf := make([]byte, maxAnswer)
		n, err := f.Read(buf)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			q.conn.SetReadDeadline(time.Unix(1, 0)) // the caller is not waited for any more
		}
		hears <- heard{buf[:n], err}
	}()
	err = wait()
	f.SetReadDeadline(time.Unix(1, 0))
	far := <-hears
	f.SetReadDeadline(time.Time{})
	q.conn.SetReadDeadline(time.Time{})
	switch {
	case len(far.bytes) > 0 || far.err == nil:
		err = nil
	case errors.Is(far.err, os.ErrDeadlineExceeded):
		if errors.Is(err, io.EOF) {
			err = nil // the caller's end is read once more later
		}
	case errors.Is(far.err, io.EOF):
		err = nil // so is the far end's
	default:
		err = far.err
	}
	if err != nil {
		f.Reset()
		return nil, err
	}
	q.mu.Lock()
	q.waiting = f
	q.mu.Unlock()
	return far.bytes, nil
}

// peek waits until the caller sends something, and reads nothing.
func (q *requests) peek() error {
	peeker, err := socket.NewPeeker(q.conn)
	if err == nil {
		_, err = peeker.First()
	}
	return err
}

// open connects with the far end of everything that no request is taken out of.
func (q *requests) open() (*far, error) {
	if r := q.port.Pick(); r != nil {
		r.Arrived()
		s, err := q.port.Open(q.ctx, r, q.frame(nil))
		if err == nil {
			return &far{s, r.tenure}, nil
		}
		if !q.port.FallsBack(r, err) {
			return nil, err
		}
	}
	s, err := q.openApplication(nil)
	return &far{Stream: s}, err
}
