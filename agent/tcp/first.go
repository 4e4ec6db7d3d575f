package tcp

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxFirst bounds what travels with the open, in bytes.
	maxFirst = 16 << 10
	// probeWait is how long a connection to a port that the kubelet probes
	// may be silent before it is taken for something else.
	probeWait = 200 * time.Millisecond
)

// firstWait is how long the first bytes are waited for, so that they travel
// with the open: a caller that speaks first, as most do, is spared a round trip
// to the laptop; one that waits for the server loses this much.
const firstWait = time.Millisecond

// firstBytes takes what the caller sends at once.
func firstBytes(c *net.TCPConn, buf []byte) ([]byte, error) {
	first, err := peek(c, buf)
	if err != nil || len(first) > 0 {
		return first, err
	}
	c.SetReadDeadline(time.Now().Add(firstWait))
	defer c.SetReadDeadline(time.Time{})
	n, err := c.Read(buf)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read first bytes: %w", err)
	}
	return buf[:n], nil // an end comes again
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

// awaitProbe decides whether the connection is a probe of the kubelet. It waits
// for more bytes, for probeWait at most, while the n in buf do not tell. What it
// returns is all that was read.
func awaitProbe(c *net.TCPConn, buf []byte, n int) (first []byte, probe bool) {
	c.SetReadDeadline(time.Now().Add(probeWait))
	defer c.SetReadDeadline(time.Time{})
	for {
		switch sniff(buf[:n]) {
		case isProbe:
			return buf[:n], true
		case isOther:
			return buf[:n], false
		}
		if n == len(buf) {
			return buf[:n], false
		}
		m, err := c.Read(buf[n:])
		n += m
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, io.EOF) {
			return buf[:n], false // the error comes again
		}
		if err != nil {
			return buf[:n], sniff(buf[:n]) == isProbe
		}
	}
}
