package forward

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// maxFirst bounds the first bytes that travel with the Open frame.
const maxFirst = 16 << 10

// firstWait is how long to wait for the first bytes, so that they travel with the
// Open frame. That saves a round trip to the laptop for callers that speak first, as
// most do, and costs this much for those that wait for the server.
const firstWait = time.Millisecond

// firstBytes reads what the caller sends at once. Over says that the caller ended its
// direction without a byte.
func firstBytes(c *net.TCPConn, buf []byte) (first []byte, over bool, err error) {
	if first, err = readNow(c, buf); err != nil || len(first) > 0 {
		return first, false, err
	}
	c.SetReadDeadline(time.Now().Add(firstWait))
	defer c.SetReadDeadline(time.Time{})
	n, err := c.Read(buf)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, io.EOF) {
		return nil, false, fmt.Errorf("read first bytes: %w", err)
	}
	return buf[:n], n == 0 && errors.Is(err, io.EOF), nil // the end is read once more later
}

// readNow reads what has arrived already, without waiting.
func readNow(c *net.TCPConn, buf []byte) ([]byte, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("read first bytes: %w", err)
	}
	n := 0
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		for {
			n, failed = unix.Read(int(fd), buf)
			if !errors.Is(failed, unix.EINTR) {
				return true
			}
		}
	})
	switch {
	case errors.Is(failed, unix.EAGAIN):
		n = 0
	case failed != nil:
		return nil, fmt.Errorf("read first bytes: %w", failed)
	case err != nil:
		return nil, fmt.Errorf("read first bytes: %w", err)
	}
	return buf[:max(n, 0)], nil
}
