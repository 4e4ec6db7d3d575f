package tunnel

import (
	"cmp"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/buffer"
)

// Stream is one end of a flow: a connection that can end one direction and
// can be reset.
type Stream interface {
	io.Reader
	io.Writer
	// CloseWrite ends the direction to the peer; reading goes on.
	CloseWrite() error
	// Reset drops the connection so that the peer sees an error, not an end.
	Reset()
	Close() error
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// Pipe moves bytes between two streams until both directions have ended, and
// closes both. It passes half-closes and resets on. Count, if not nil, is told how
// many bytes have passed, maybe from two goroutines at once. The error is that of
// the direction that broke first, and nil if both ended well.
func Pipe(a, b Stream, count func(fromA, fromB int)) error {
	if count == nil {
		count = func(int, int) {}
	}
	var once sync.Once
	var first error
	broke := func(err error) {
		once.Do(func() { first = err })
		a.Reset()
		b.Reset()
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := copyStream(b, a, func(n int) { count(n, 0) }); err != nil {
			broke(err)
		}
	})
	if err := copyStream(a, b, func(n int) { count(0, n) }); err != nil {
		broke(err)
	}
	wg.Wait()
	a.Close()
	b.Close()
	return first
}

// copyStream moves the bytes of src to dst until src ends, and then ends the
// direction to dst's peer. Between two TCP connections the kernel moves the bytes.
func copyStream(dst, src Stream, count func(int)) error {
	if TCP(dst) != nil && TCP(src) != nil {
		if err := Splice(dst, src, count); err != nil {
			return err
		}
		return CloseWrite(dst)
	}
	var size buffer.Sizer
	pool := buffer.Pool()
	guard := newGuard(dst, src)
	for {
		buf := pool.Get(size.Next())
		n, err := src.Read(*buf)
		size.Adapt(n)
		var werr error
		if n > 0 {
			guard.begin()
			_, werr = dst.Write((*buf)[:n])
			werr = cmp.Or(guard.end(), werr)
		}
		pool.Put(buf)
		if werr != nil {
			return werr
		}
		if n > 0 {
			count(n)
		}
		if err == io.EOF {
			return CloseWrite(dst)
		}
		if err != nil {
			return err
		}
	}
}

// WriteError is the failure of the stream that bytes were moved to.
type WriteError struct{ Err error }

func (w *WriteError) Error() string { return w.Err.Error() }

// Unwrap returns the cause.
func (w *WriteError) Unwrap() error { return w.Err }

// CloseWrite ends the direction to the peer of s. It is no error if the peer is gone
// already.
func CloseWrite(s Stream) error {
	if err := s.CloseWrite(); err != nil && !errors.Is(err, net.ErrClosed) &&
		!errors.Is(err, syscall.ENOTCONN) && !errors.Is(err, syscall.EPIPE) {
		return err
	}
	return nil
}
