package tls

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"
)

// maxHello bounds a ClientHello.
const maxHello = 64 << 10

// errRead ends the handshake that reads a ClientHello.
var errRead = errors.New("the ClientHello is read")

// Speaks says that a connection which begins with these bytes may be one of TLS: they
// begin a handshake record (RFC 8446, section 5.1).
func Speaks(first []byte) bool {
	return len(first) > 0 && first[0] == 22 && (len(first) < 2 || first[1] == 3)
}

// ParseHello reads the ClientHello at the beginning of b. The error is io.EOF if the
// ClientHello is longer than b.
func ParseHello(b []byte) (hello *tls.ClientHelloInfo, err error) {
	from := &replay{r: bytes.NewReader(b)}
	err = tls.Server(from, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		hello = h
		return nil, errRead
	}}).Handshake()
	if hello != nil {
		return hello, nil
	}
	if from.over {
		return nil, io.EOF
	}
	return nil, err
}

// readHello reads a ClientHello that begins with first, and returns all that it has read.
func readHello(c net.Conn, first []byte) (*tls.ClientHelloInfo, []byte, error) {
	read := bytes.Clone(first)
	for {
		hello, err := ParseHello(read)
		if err == nil || !errors.Is(err, io.EOF) || len(read) >= maxHello {
			return hello, read, err
		}
		var more [4 << 10]byte
		n, err := c.Read(more[:])
		read = append(read, more[:n]...)
		if n == 0 && err != nil {
			return nil, read, err
		}
	}
}

// replay is a connection on which bytes have come and nothing is sent.
type replay struct {
	r    *bytes.Reader
	over bool // more was wanted than there is
}

var _ net.Conn = (*replay)(nil)

func (r *replay) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.over = r.over || err != nil
	return n, err
}

func (r *replay) Write(p []byte) (int, error)      { return len(p), nil }
func (r *replay) Close() error                     { return nil }
func (r *replay) LocalAddr() net.Addr              { return nil }
func (r *replay) RemoteAddr() net.Addr             { return nil }
func (r *replay) SetDeadline(time.Time) error      { return nil }
func (r *replay) SetReadDeadline(time.Time) error  { return nil }
func (r *replay) SetWriteDeadline(time.Time) error { return nil }
