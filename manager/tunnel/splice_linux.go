package tunnel

import (
	"errors"
	"io"

	"github.com/kubectl-intercept/kubectl-intercept/manager/socket"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/record"
)

// Splice lets the kernel move the bytes of src to dst until src ends, and tells
// count how many. Both are made by NewTCP. The error is a WriteError if dst has failed,
// and that of src otherwise. Splice never asks the kernel for more than has arrived, so
// that a quiet connection holds no pipe: a user may have only a few dozen pipes of a
// useful size.
func Splice(dst, src Stream, count func(int)) error {
	d, s := dst.(*tcpStream), src.(*tcpStream)
	peeker, err := socket.NewPeeker(s.TCPConn)
	if err != nil {
		return err
	}
	batch := record.NewBatcher(s.TCPConn)
	from := &io.LimitedReader{R: s.TCPConn}
	guard := newGuard(d, s)
	for {
		n, err := s.arrived(peeker)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		batch.Read(n)
		from.N = int64(n)
		guard.begin()
		moved, err := d.move(from)
		if reset := guard.end(); reset != nil {
			return reset
		}
		count(int(moved))
		if err != nil {
			return &WriteError{err}
		}
	}
}

// SpliceN is Splice for the next n bytes of src. It returns io.ErrUnexpectedEOF if src
// ends before.
func SpliceN(dst, src Stream, n int64, count func(int)) error {
	d, s := dst.(*tcpStream), src.(*tcpStream)
	peeker, err := socket.NewPeeker(s.TCPConn)
	if err != nil {
		return err
	}
	from := &io.LimitedReader{R: s.TCPConn}
	guard := newGuard(d, s)
	for n > 0 {
		arrived, err := s.arrived(peeker)
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		from.N = min(n, int64(arrived))
		guard.begin()
		moved, err := d.move(from)
		if reset := guard.end(); reset != nil {
			return reset
		}
		count(int(moved))
		n -= moved
		if err != nil {
			return &WriteError{err}
		}
	}
	return nil
}

// arrived waits until bytes can be read and says how many. The kernel keeps them even if
// the peer resets the connection, so that to move them fails with the other connection
// only.
func (t *tcpStream) arrived(peeker *socket.Peeker) (int, error) {
	n, err := peeker.Arrived()
	if errors.Is(err, io.EOF) {
		err = t.end()
	}
	return n, err
}
