package record

import (
	"crypto/tls"
	"io"
	"net"
)

// NewCarrier makes a carrier's connection of a TLS connection on top of a
// Conn, so that what gRPC writes at once is sent at once. What does not
// sit on a Conn is returned as it is. Stream is what is read and
// written: t itself, or what has taken bytes from it already.
func NewCarrier(t *tls.Conn, stream io.ReadWriteCloser) net.Conn {
	raw, ok := t.NetConn().(*Conn)
	if !ok {
		return &carrierConn{Conn: t, stream: stream}
	}
	raw.Batch()
	return &carrierConn{Conn: t, stream: stream, raw: raw}
}

type carrierConn struct {
	net.Conn // for addresses and deadlines
	stream   io.ReadWriteCloser
	raw      *Conn // may be nil
}

// Read fills p with as much as has arrived; it waits for the first byte only.
func (c *carrierConn) Read(p []byte) (int, error) {
	n, err := c.stream.Read(p)
	for c.raw != nil && err == nil && n < len(p) && c.raw.Ready() {
		var m int
		m, err = c.stream.Read(p[n:])
		n += m
	}
	if n > 0 {
		return n, nil // an error comes again
	}
	return 0, err
}

func (c *carrierConn) Write(p []byte) (int, error) {
	n, err := c.stream.Write(p)
	if err == nil && c.raw != nil {
		err = c.raw.Flush()
	}
	return n, err
}

// Trim passes on what the Conn above does.
func (c *carrierConn) Trim() {
	if c.raw != nil {
		c.raw.Trim()
	}
}

func (c *carrierConn) Close() error { return c.stream.Close() }
