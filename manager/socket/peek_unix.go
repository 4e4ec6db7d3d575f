//go:build unix

package socket

import (
	"errors"
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Peeker looks at one TCP connection. It is not safe for concurrent use, and
// allocates nothing once it is made.
type Peeker struct {
	raw   syscall.RawConn
	count bool // how many bytes there are
	first [1]byte
	n     int
	err   error
	look  func(fd uintptr) bool
}

// NewPeeker returns the Peeker of a connection, which the caller keeps.
func NewPeeker(c *net.TCPConn) (*Peeker, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	p := &Peeker{raw: raw}
	p.look = p.peek
	return p, nil
}

// First waits until something has arrived, as a Read would, and returns its
// first byte. The end of the connection is io.EOF.
func (p *Peeker) First() (byte, error) {
	_, err := p.wait(false)
	return p.first[0], err
}

// Arrived waits until something has arrived and says how many bytes that are.
// The end of the connection is io.EOF.
func (p *Peeker) Arrived() (int, error) { return p.wait(true) }

func (p *Peeker) wait(count bool) (int, error) {
	p.count = count
	switch err := p.raw.Read(p.look); {
	case err != nil:
		return 0, err
	case p.err != nil:
		return 0, p.err
	case p.n == 0:
		return 0, io.EOF
	}
	return p.n, nil
}

// peek is false while there is nothing to see.
func (p *Peeker) peek(fd uintptr) bool {
	for {
		p.n, _, p.err = unix.Recvfrom(int(fd), p.first[:], unix.MSG_PEEK)
		if !errors.Is(p.err, unix.EINTR) {
			break
		}
	}
	if p.err == nil && p.n > 0 && p.count {
		p.n, p.err = pending(int(fd))
	}
	return !errors.Is(p.err, unix.EAGAIN)
}

// Quiet says, without waiting, that nothing has arrived on a connection, no end
// either.
func Quiet(c *net.TCPConn) (bool, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return false, err
	}
	quiet := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK)
		quiet = errors.Is(err, unix.EAGAIN)
		return true
	})
	return quiet, err
}
