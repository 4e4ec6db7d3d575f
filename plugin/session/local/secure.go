package local

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// secure speaks TLS with a program, for a flow that is in clear text. The certificate of
// the program is not checked: it is on this machine, and mostly self-signed. A flow that is
// in TLS already passes as it is. If the flow has no bytes yet, its first ones decide.
func secure(ctx context.Context, conn net.Conn, o *frame.Open) (tunnel.Stream, error) {
	below, ok := conn.(*net.TCPConn)
	if !ok {
		return nil, errNotTCP
	}
	if len(o.First) == 0 {
		return await(below, func(first []byte) (tunnel.Stream, error) {
			return toProgram(context.Background(), below, o.ServerName, first)
		}), nil
	}
	s, err := toProgram(ctx, below, o.ServerName, o.First)
	if err != nil {
		conn.Close()
	}
	return s, err
}

// toProgram is a connection to a program that speaks TLS, for a flow that begins with first.
func toProgram(ctx context.Context, below *net.TCPConn, server string, first []byte) (tunnel.Stream, error) {
	const record = "\x16\x03" // the beginning of TLS (RFC 8446, section 5.1)
	if bytes.HasPrefix(first, []byte(record)) {
		return tunnel.NewTCP(below), nil
	}
	protocol := alpnHTTP1
	if isHTTP2(first) {
		protocol = alpnHTTP2
	}
	c, err := handshake(ctx, below, server, protocol)
	if err != nil {
		return nil, err
	}
	return tunnel.NewTLS(c, below), nil
}

// The names of the versions of HTTP in ALPN (RFC 7301; RFC 9113, section 3.1).
const alpnHTTP1, alpnHTTP2 = "http/1.1", "h2"

// isHTTP2 says whether a connection that begins with first is one of HTTP/2 (RFC 9113,
// section 3.4).
func isHTTP2(first []byte) bool { return bytes.HasPrefix(first, []byte("PRI * HTTP/2.0")) }

// handshake begins TLS with a program. Protocols are what it may choose by ALPN.
func handshake(ctx context.Context, below net.Conn, server string, protocols ...string) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	c := tls.Client(below, &tls.Config{ServerName: cmp.Or(server, "localhost"), NextProtos: protocols, InsecureSkipVerify: true})
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS handshake with the program, for %s: %w", strings.Join(protocols, " or "), err)
	}
	return c, nil
}

// undecided is a connection to a program, for a flow without bytes yet. They decide what
// the program gets.
type undecided struct {
	tunnel.Stream // as it is now
	below         *net.TCPConn
	begin         func(first []byte) (tunnel.Stream, error)

	once    sync.Once
	decided chan struct{}
	err     error
}

func await(below *net.TCPConn, begin func(first []byte) (tunnel.Stream, error)) *undecided {
	return &undecided{Stream: tunnel.NewTCP(below), below: below, begin: begin, decided: make(chan struct{})}
}

// decide takes the flow's first bytes; none if the flow has ended without.
func (u *undecided) decide(first []byte) error {
	u.once.Do(func() {
		defer close(u.decided)
		if len(first) == 0 {
			return
		}
		var s tunnel.Stream
		if s, u.err = u.begin(first); u.err == nil {
			u.Stream = s
		}
	})
	return u.err
}

// Write implements tunnel.Stream.
func (u *undecided) Write(p []byte) (int, error) {
	if err := u.decide(p); err != nil {
		return 0, err
	}
	return u.Stream.Write(p)
}

// Read implements tunnel.Stream.
func (u *undecided) Read(p []byte) (int, error) {
	<-u.decided
	if u.err != nil {
		return 0, u.err
	}
	return u.Stream.Read(p)
}

// CloseWrite implements tunnel.Stream.
func (u *undecided) CloseWrite() error {
	if err := u.decide(nil); err != nil {
		return err
	}
	return u.Stream.CloseWrite()
}

// SetReadDeadline implements tunnel.Stream.
func (u *undecided) SetReadDeadline(t time.Time) error { return u.below.SetReadDeadline(t) }

// SetWriteDeadline implements tunnel.Stream.
func (u *undecided) SetWriteDeadline(t time.Time) error { return u.below.SetWriteDeadline(t) }

// Close implements tunnel.Stream.
func (u *undecided) Close() error {
	_ = u.decide(nil) // ends a Read that waits
	return u.Stream.Close()
}

// Reset implements tunnel.Stream.
func (u *undecided) Reset() {
	tunnel.NewTCP(u.below).Reset() // ends a handshake that waits
	_ = u.decide(nil)
	u.Stream.Reset()
}
