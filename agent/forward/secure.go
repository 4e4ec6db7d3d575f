package forward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/agent/tls"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// terminate takes the application's place in the caller's TLS, and returns how what is
// inside begins. A connection that the agent stays out of begins as before. What may be a
// probe of the kubelet, by its ClientHello, is known for sure by its request.
func (q *splitFlow) terminate(b beginning) (beginning, error) {
	if !tls.Speaks(b.first) {
		return b, nil
	}
	s, err := q.port.keys.Terminate(q.ctx, q.conn, b.first, func(ctx context.Context) (*net.TCPConn, error) { return q.port.dialApplication(ctx, q.dialed) })
	var unserved *tls.UnservedError
	if errors.As(err, &unserved) {
		q.Opaque(unserved.Error())
		b.first = unserved.Read
		return b, nil
	}
	if err != nil {
		return b, err
	}
	q.secure, q.caller = s, s.Caller
	if unused := q.useAhead(); unused != nil {
		unused.Close() // it was opened for a caller without TLS
	}
	switch s.Protocol {
	case "h2":
		return beginning{protocol: http.HTTP2}, nil
	case "http/1.1":
		return beginning{protocol: http.HTTP1}, nil
	}
	return q.inside()
}

// inside finds out what is in TLS without a protocol of ALPN. As in clear text, the server
// may speak first.
func (q *splitFlow) inside() (beginning, error) {
	buf := q.port.firsts.Get().(*[maxFirst]byte)
	defer q.port.firsts.Put(buf)
	n := 0
	read := func() error {
		m, err := q.caller.Read(buf[n:])
		n += m
		return err
	}
	var first bool
	var answer []byte
	var err error
	if q.port.table.Load().callerFirst {
		err = read()
	} else {
		first, answer, err = q.silent(read)
	}
	protocol := http.Sniff(buf[:n])
	for err == nil && protocol == http.Unknown && !first && 0 < n && n < len(buf) {
		q.conn.SetReadDeadline(time.Now().Add(sniffWait)) // as in clear text
		err = read()
		protocol = http.Sniff(buf[:n])
	}
	q.conn.SetReadDeadline(time.Time{})
	if n == 0 && !first && err != nil {
		return beginning{}, fmt.Errorf("read first bytes in TLS: %w", err)
	}
	if first {
		protocol = http.Other
	}
	return beginning{protocol: protocol, first: bytes.Clone(buf[:n]), answer: answer}, nil
}

// frame opens a flow to a laptop.
func (q *splitFlow) frame(first []byte) *frame.Open {
	return open(q.source, q.secure, first)
}

// openApplication connects with the application, in TLS if the caller speaks that, and
// sends it first.
func (q *splitFlow) openApplication(first []byte) (tunnel.Stream, error) {
	if q.secure == nil {
		return q.port.openApplication(q.dialed, first)
	}
	s, err := q.secure.Open(context.WithoutCancel(q.ctx))
	if err != nil || len(first) == 0 {
		return s, err
	}
	if _, err := s.Write(first); err != nil {
		s.Reset()
		return nil, err
	}
	return s, nil
}
