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

// maxFirst bounds what travels with the open, in bytes.
const maxFirst = 16 << 10

// firstWait is how long the first bytes are waited for, so that they travel
// with the open: a caller that speaks first, as most do, is spared a round trip
// to the laptop; one that waits for the server loses this much.
const firstWait = time.Millisecond

// firstBytes takes what the caller sends at once; over says that there is
// nothing but an end.
func firstBytes(c *net.TCPConn, buf []byte) (first []byte, over bool, err error) {
	if first, err = peek(c, buf); err != nil || len(first) > 0 {
		return first, false, err
	}
	c.SetReadDeadline(time.Now().Add(firstWait))
	defer c.SetReadDeadline(time.Time{})
	n, err := c.Read(buf)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, io.EOF) {
		return nil, false, fmt.Errorf("read first bytes: %w", err)
	}
	return buf[:n], n == 0 && errors.Is(err, io.EOF), nil // an end comes again
}

// peek takes what the caller has sent already, without waiting.
func peek(c *net.TCPConn, buf []byte) ([]byte, error) {
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
