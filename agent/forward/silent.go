package forward

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/socket"
)

// maxAnswer bounds what is read of a far end that speaks first.
const maxAnswer = 512

// ahead is a connection that is made for a caller that is silent, to the far end that has
// what no route takes single requests of. In some protocols the server speaks first.
type ahead struct {
	ctx    context.Context // ends when the connection is not waited for any more
	cancel context.CancelFunc
	heard  chan struct{} // closed when nothing below changes any more

	mu      sync.Mutex
	stopped bool // what the far end says is not waited for any more

	far    *farStream // nil: it could not be reached
	answer []byte
	err    error // of reading
}

// silent waits until the caller or the far end of everything else speaks, or one of them
// ends. Wait waits for the caller until a deadline of its connection.
//
//	first to speak          first    answer
//	the far end speaks      true     what it said
//	the far end ends        true     none
//	the caller              false    none
//
// A far end that cannot be reached is never first: a laptop may take what the caller
// sends. The connection to the far end is kept for what follows.
func (q *splitFlow) silent(wait func() error) (first bool, answer []byte, err error) {
	a := &ahead{heard: make(chan struct{})}
	a.ctx, a.cancel = context.WithCancel(q.ctx)
	defer a.cancel()
	go func() {
		defer close(a.heard)
		if a.listen(q) {
			q.conn.SetReadDeadline(time.Unix(1, 0)) // the caller is not waited for any more
		}
	}()
	err = wait()
	a.stop()
	<-a.heard
	q.conn.SetReadDeadline(time.Time{})
	if errors.Is(err, io.EOF) {
		err = nil // it is read once more later
	}
	if a.far == nil {
		return false, nil, err
	}
	a.far.SetReadDeadline(time.Time{})
	switch {
	case len(a.answer) > 0 || a.err == nil || errors.Is(a.err, io.EOF):
		first, err = true, nil
	case !errors.Is(a.err, os.ErrDeadlineExceeded):
		err = a.err
	}
	if err != nil {
		a.far.Reset()
		return false, nil, err
	}
	q.mu.Lock()
	q.waiting = a.far
	q.mu.Unlock()
	return first, a.answer, nil
}

// listen connects with the far end and waits until it speaks or ends. It is false if it
// was stopped, or if there is no far end.
func (a *ahead) listen(q *splitFlow) bool {
	f, err := q.open(a.ctx)
	if err != nil {
		return false
	}
	a.mu.Lock()
	a.far = f
	stopped := a.stopped
	a.mu.Unlock()
	if stopped {
		a.err = os.ErrDeadlineExceeded
		return false
	}
	buf := make([]byte, maxAnswer)
	n, err := f.Read(buf)
	a.answer, a.err = buf[:n], err
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// stop ends listen.
func (a *ahead) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = true
	if a.far != nil {
		a.far.SetReadDeadline(time.Unix(1, 0))
	}
	a.cancel()
}

// peek waits until the caller sends something, and reads nothing.
func (q *splitFlow) peek() error {
	peeker, err := socket.NewPeeker(q.conn)
	if err == nil {
		_, err = peeker.First()
	}
	return err
}

// open connects with the far end of everything that no request is taken out of. It counts
// nothing; what it returns does, also after an error.
func (q *splitFlow) open(ctx context.Context) (*farStream, error) {
	f := &farStream{asked: q.port.Pick()}
	var err error
	if r := f.asked; r != nil {
		if f.Stream, err = q.port.Open(ctx, r, q.frame(nil)); err == nil {
			f.tenure = r.tenure
			return f, nil
		}
		if ctx.Err() != nil {
			return f, err
		}
		if f.missed = err; !r.fallsBack() {
			return f, err
		}
	}
	f.Stream, err = q.openApplication(nil)
	return f, err
}
