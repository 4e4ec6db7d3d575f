package topod

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// backlog is how many datagrams of a sender wait.
const backlog = 64

// conversation is what one sender sends to a UDP port, and what it gets back, as a
// connection.
type conversation struct {
	to    net.Addr
	port  net.PacketConn
	in    chan []byte
	ended chan struct{}
	once  sync.Once
	until atomic.Int64 // of a Read, in nanoseconds of the clock; 0 is for ever
}

var _ net.Conn = (*conversation)(nil)

// Read implements net.Conn.
func (c *conversation) Read(p []byte) (int, error) {
	for {
		var late <-chan time.Time
		until := c.until.Load()
		if until != 0 {
			late = time.After(time.Until(time.Unix(0, until)))
		}
		select {
		case b := <-c.in:
			return copy(p, b), nil
		case <-late:
			if c.until.Load() == until {
				return 0, os.ErrDeadlineExceeded
			} // else there is more time
		case <-c.ended:
			return 0, io.EOF
		}
	}
}

// Write implements net.Conn.
func (c *conversation) Write(p []byte) (int, error) { return c.port.WriteTo(p, c.to) }

// Close implements net.Conn.
func (c *conversation) Close() error {
	c.once.Do(func() { close(c.ended) })
	return nil
}

// LocalAddr implements net.Conn.
func (c *conversation) LocalAddr() net.Addr { return c.port.LocalAddr() }

// RemoteAddr implements net.Conn.
func (c *conversation) RemoteAddr() net.Addr { return c.to }

// SetDeadline implements net.Conn.
func (c *conversation) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline gives a Read that waits more time, but not less.
func (c *conversation) SetReadDeadline(t time.Time) error {
	if t.IsZero() {
		c.until.Store(0)
	} else {
		c.until.Store(t.UnixNano())
	}
	return nil
}

// SetWriteDeadline does nothing: a Write does not wait.
func (c *conversation) SetWriteDeadline(time.Time) error { return nil }
