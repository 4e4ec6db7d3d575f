package tunnel

import (
	"errors"
	"io"
	"net"

	"github.com/kubectl-intercept/kubectl-intercept/manager/socket"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/record"
)

// Splice moves src to dst until src ends; the kernel moves the bytes, and count
// hears of them. The kernel is asked to move no more than has arrived, so that a
// quiet connection holds no pipe: of useful size, a user may have a few dozen.
func Splice(dst, src *net.TCPConn, count func(int)) error {
	look, err := socket.NewPeeker(src)
	if err != nil {
		return err
	}
	batch := record.NewBatcher(src)
	for {
		n, err := look.Arrived()
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
