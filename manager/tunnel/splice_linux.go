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
