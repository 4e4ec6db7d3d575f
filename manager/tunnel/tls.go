package tunnel

import (
	"crypto/tls"
	"net"
)

// NewTLS makes a Stream of a TLS connection over below. The end of a direction is the
// alert close_notify (RFC 8446, section 6.1).
func NewTLS(c *tls.Conn, below *net.TCPConn) Stream { return tlsStream{c, below} }

type tlsStream struct {
	*tls.Conn
	below *net.TCPConn
}

// Reset drops the TCP connection. The peer gets no alert.
func (t tlsStream) Reset() { NewTCP(t.below).Reset() }
