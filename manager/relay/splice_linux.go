package relay

import (
	"errors"
	"io"
	"net"

	"github.com/kubectl-intercept/kubectl-intercept/manager/socket"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
)

// spliceOneWay moves src to dst until src ends; the kernel moves the bytes. It
// is asked to move no more than has arrived, so that a quiet connection holds
// no pipe: of useful size, a user may have a few dozen.
func spliceOneWay(dst, src *net.TCPConn) error {
	look, err := socket.NewPeeker(src)
	if err != nil {
		return err
	}
	batch := tunnel.NewBatcher(src)
	for {
		n, err := look.Arrived()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		batch.Read(n)
		if _, err := dst.ReadFrom(&io.LimitedReader{R: src, N: int64(n)}); err != nil {
			return err
		}
	}
}
