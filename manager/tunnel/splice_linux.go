package tunnel

import (
	"errors"
	"io"
	"net"

	"github.com/kubectl-intercept/kubectl-intercept/manager/socket"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/record"
)

// Splice lets the kernel move the bytes of src to dst until src ends, and tells
// count how many. It never asks the kernel for more than has arrived, so that a
// quiet connection holds no pipe: a user may have only a few dozen pipes of a
// useful size.
func Splice(dst, src *net.TCPConn, count func(int)) error {
	peeker, err := socket.NewPeeker(src)
	if err != nil {
		return err
	}
	batch := record.NewBatcher(src)
	for {
		n, err := peeker.Arrived()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		batch.Read(n)
		moved, err := dst.ReadFrom(&io.LimitedReader{R: src, N: int64(n)})
		count(int(moved))
		if err != nil {
			return err
		}
	}
}

// SpliceN is Splice for the next n bytes of src. It returns io.ErrUnexpectedEOF if src
// ends before.
func SpliceN(dst, src *net.TCPConn, n int64, count func(int)) error {
	peeker, err := socket.NewPeeker(src)
	if err != nil {
		return err
	}
	from := &io.LimitedReader{R: src}
	for n > 0 {
		arrived, err := peeker.Arrived()
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		from.N = min(n, int64(arrived))
		moved, err := dst.ReadFrom(from)
		count(int(moved))
		n -= moved
		if err != nil {
			return err
		}
	}
	return nil
}
