package tls

import (
	"context"
	"crypto/tls"
	"fmt"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
)

// unused is how long the first connection to the application waits for its first use.
// The application may close one that is silent for longer.
const unused = time.Second

// Session is a caller's connection, with the way to the application.
type Session struct {
	// Caller is the caller's connection in clear text.
	Caller tunnel.Stream
	// ServerName is the server that the caller named; empty for none.
	ServerName string
	// Protocol is what the application chose by ALPN: "h2", "http/1.1", or none.
	Protocol string

	dial   Dial
	client *tls.Config
	asked  bool // the application has asked for a client certificate

	mu      sync.Mutex
	first   *connection // nil once it is used or closed
	closing *time.Timer
}

// connection is one to the application.
type connection struct {
	*tls.Conn
	stream tunnel.Stream
}

// Open connects with the application by TLS. It passes on the server name of the caller,
// and the application chooses the same protocol as before.
func (s *Session) Open(ctx context.Context) (tunnel.Stream, error) {
	if c := s.take(); c != nil {
		return c.stream, nil
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	if p := c.ConnectionState().NegotiatedProtocol; p != s.Protocol {
		c.stream.Reset()
		return nil, fmt.Errorf("the application chose %q by ALPN, after %q before", p, s.Protocol)
	}
	return c.stream, nil
}

// Close ends what Open has not returned. It leaves the caller's connection alone.
func (s *Session) Close() {
	if c := s.take(); c != nil {
		c.Close()
	}
}

// connect makes a connection to the application.
func (s *Session) connect(ctx context.Context) (*connection, error) {
	below, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	c := tls.Client(below, s.client)
	if err := c.HandshakeContext(ctx); err != nil {
		below.Close()
		return nil, fmt.Errorf("TLS handshake with the application: %w", err)
	}
	return &connection{c, tunnel.NewTLS(c, below)}, nil
}

// keep holds a connection for the next Open.
func (s *Session) keep(c *connection) {
	s.first = c
	s.closing = time.AfterFunc(unused, s.Close)
}

// take returns the connection that is held, once.
func (s *Session) take() *connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.first
	s.first = nil
	if c != nil {
		s.closing.Stop()
	}
	return c
}

// settle fixes how later connections to the application are made. Those for a caller that
// has proven a certificate have the originating Secret's. Others have none.
func (s *Session) settle(k *Keys, proven bool) {
	s.client = s.client.Clone()
	s.client.NextProtos = nil
	if s.Protocol != "" {
		s.client.NextProtos = []string{s.Protocol}
	}
	s.client.GetClientCertificate = k.own
	if proven {
		return
	}
	s.client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &tls.Certificate{}, nil }
	if s.asked {
		s.Close()
	}
}
