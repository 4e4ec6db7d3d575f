package record

import (
	"crypto/tls"
	"io"
	"net"
)

// NewCarrier makes a carrier's connection of a TLS connection that sits on a Conn:
// it sends with one system call what gRPC writes with one Write. A TLS connection on
// anything else works, too, without that. Stream is where the carrier reads and
// writes: t itself, or a reader that has read ahead from it.
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
		return n, nil // the next Read returns the error
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

// Trim releases buffers; see Conn.
func (c *carrierConn) Trim() {
	if c.raw != nil {
		c.raw.Trim()
	}
}

func (c *carrierConn) Close() error { return c.stream.Close() }
