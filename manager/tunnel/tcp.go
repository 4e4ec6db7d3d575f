package tunnel

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"

	"github.com/kubectl-intercept/kubectl-intercept/manager/socket"
)

// NewTCP makes a Stream of a TCP connection.
func NewTCP(c *net.TCPConn) Stream { return &tcpStream{TCPConn: c} }

// TCP is the TCP connection that s was made of; nil, if it is another kind of Stream.
func TCP(s Stream) *net.TCPConn {
	if t, ok := s.(*tcpStream); ok {
		return t.TCPConn
	}
	return nil
}

// End is the error of a read of s that has reached the end: io.EOF, or the reset that
// ended the connection. The kernel reports a reset once. If it has reported it to a write,
// the next read looks like an orderly end. Read calls End itself.
func End(s Stream) error {
	if t, ok := s.(*tcpStream); ok {
		return t.end()
	}
	return io.EOF
}

type tcpStream struct {
	*net.TCPConn
	writing sync.Mutex
	reset   bool // a write was told of a reset
}

// Read implements io.Reader.
func (t *tcpStream) Read(p []byte) (int, error) {
	n, err := t.TCPConn.Read(p)
	if n == 0 && err == io.EOF {
		err = t.end()
	}
	return n, err
}

// Write implements io.Writer.
func (t *tcpStream) Write(p []byte) (n int, err error) {
	err = t.write(func() error {
		n, err = t.TCPConn.Write(p)
		return err
	})
	return n, err
}

// WritePieces writes them with one system call.
func (t *tcpStream) WritePieces(pieces net.Buffers) error {
	return t.write(func() error {
		_, err := pieces.WriteTo(t.TCPConn)
		return err
	})
}

// move moves bytes of a connection to t, in the kernel if it can.
func (t *tcpStream) move(from *io.LimitedReader) (moved int64, err error) {
	err = t.write(func() error {
		moved, err = t.TCPConn.ReadFrom(from)
		return err
	})
	return moved, err
}

// write remembers that a write was told of a reset. After the peer's end the kernel
// reports EPIPE in place of a reset, and the end is what counts.
func (t *tcpStream) write(do func() error) error {
	t.writing.Lock()
	defer t.writing.Unlock()
	err := do()
	t.reset = t.reset || errors.Is(err, syscall.ECONNRESET)
	return err
}

func (t *tcpStream) end() error {
	if !socket.Closed(t.TCPConn) {
		return io.EOF // and a write may take long
	}
	t.writing.Lock()
	defer t.writing.Unlock()
	if t.reset {
		return syscall.ECONNRESET
	}
	return io.EOF
}

// Reset implements Stream.
func (t *tcpStream) Reset() {
	t.SetLinger(0)
	t.Close()
}
