package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/budget"
	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
	"github.com/kubectl-intercept/kubectl-intercept/manager/socket"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/record"
)

// shakeTimeout bounds what a peer may take to say what it wants.
const shakeTimeout = 10 * time.Second

// visitor is a connection that has been accepted, and its place among the strangers.
type visitor struct {
	net.Conn
	visit *budget.Visit
}

// gone closes a connection.
func (v visitor) gone() {
	v.Close()
	v.visit.Known()
}

// accept hands connections to serve, each in a goroutine of its own, until ctx
// ends and l is closed. Protocols are what those may speak within TLS.
func (s *Server) accept(ctx context.Context, l net.Listener, protocols []string, serve func(visitor, *tls.Config)) {
	bundle, config := s.Authority.Bundle(), s.config(protocols)
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) && ctx.Err() != nil {
			return
		}
		if err != nil {
			s.Log.Warn("accept", "error", err)
			select {
			case <-time.After(100 * time.Millisecond): // out of file descriptors: let some go
				continue
			case <-ctx.Done():
				return
			}
		}
		if now := s.Authority.Bundle(); !bytes.Equal(now, bundle) {
			bundle, config = now, s.config(protocols) // anew, it would not resume sessions
		}
		c.SetDeadline(time.Now().Add(shakeTimeout))
		visit := s.Budget.Strangers.Enter(budget.AddressOf(c.RemoteAddr()), func() { c.Close() })
		go serve(visitor{c, visit}, config)
	}
}

// sort finds out what a connection is. One that does not begin like TLS can
// only be a session's.
func (s *Server) sort(raw visitor, config *tls.Config, q queues) {
	first, err := firstByte(raw.Conn)
	if err != nil {
		raw.gone()
		return
	}
	if first != recordHandshake {
		raw.SetDeadline(time.Time{})
		q.sessions.put(raw)
		return
	}
	if c := s.shake(raw, config); c != nil {
		q.web.put(visitor{c, raw.visit})
	}
}

// recordHandshake is the first byte of a TLS connection (RFC 8446, section
// 5.1).
const recordHandshake = 22

// firstByte waits for the first byte of a connection and leaves it there.
func firstByte(c net.Conn) (byte, error) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return 0, fmt.Errorf("a %T is not TCP", c)
	}
	peeker, err := socket.NewPeeker(tcp)
	if err != nil {
		return 0, err
	}
	return peeker.First()
}

// shake shakes hands. It returns nil if that fails, and has closed the connection then.
func (s *Server) shake(raw visitor, config *tls.Config) *tls.Conn {
	c := tls.Server(record.NewConn(raw.Conn), config)
	if err := c.Handshake(); err != nil {
		s.Log.Debug("handshake", "peer", c.RemoteAddr(), "error", err)
		raw.gone()
		return nil
	}
	c.SetDeadline(time.Time{})
	return c
}

// serveAgent shakes hands and hands on what the connection is by its protocol. An agent
// without a certificate can enroll, and stays a stranger.
func (s *Server) serveAgent(raw visitor, config *tls.Config, q queues) {
	c := s.shake(raw, config)
	if c == nil {
		return
	}
	protocol := c.ConnectionState().NegotiatedProtocol
	pod, ok := pki.PeerPod(c.ConnectionState())
	if !ok {
		if protocol != handshake.ALPNAgent {
			raw.gone()
			return
		}
		late := time.AfterFunc(budget.EnrollTime, raw.gone)
		q.control.put(&control{Conn: c, closed: func() { late.Stop(); raw.visit.Known() }})
		return
	}
	raw.visit.Known()
	release, err := s.Budget.Connections.Take(pod.String())
	if err != nil {
		raw.Close()
		return
	}
	switch protocol {
	case handshake.ALPNFlow:
		defer release()
		s.Flow(c)
	case handshake.ALPNLine:
		defer release()
		s.Line(c)
	case handshake.ALPNAgent:
		q.control.put(&control{Conn: c, closed: release})
	default: // it named none, on a port that is not for the web
		release()
		c.Close()
	}
}

// control is an agent's connection for gRPC, which owns it.
type control struct {
	*tls.Conn
	closed func()
}

// Close gives the connection's place back.
func (c *control) Close() error {
	c.closed()
	return c.Conn.Close()
}
