package tls

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
)

// handshakeTimeout bounds each handshake.
const handshakeTimeout = 10 * time.Second

// earlyData is the extension by which a client says that it sends data with its
// ClientHello (RFC 8446, section 4.2.10), with a key that only the application has.
const earlyData = 42

// Keys are the Secrets of one pod's agent.
type Keys struct {
	terminating, originating secret
	log                      *slog.Logger
}

// NewKeys returns the Secrets in two folders. A folder that does not exist has no key.
func NewKeys(terminating, originating string, log *slog.Logger) *Keys {
	return &Keys{
		terminating: secret{folder: terminating, log: log, fresh: fresh},
		originating: secret{folder: originating, log: log, fresh: fresh}, log: log}
}

// Dial connects with the application by TCP.
type Dial func(context.Context) (*net.TCPConn, error)

// UnservedError says that the agent does not take the application's place in a
// connection. It has sent nothing to the caller, so that the connection can pass to the
// application as it is.
type UnservedError struct {
	// Reason is why, in half a sentence.
	Reason string
	// Read is all that was read of the caller.
	Read []byte
}

// Error implements error.
func (e *UnservedError) Error() string { return "TLS is not terminated: " + e.Reason }

// Terminate takes the application's place in a connection on which the caller has begun
// with first. The error is an UnservedError, or the caller's handshake has failed.
func (k *Keys) Terminate(ctx context.Context, caller *net.TCPConn, first []byte, dial Dial) (*Session, error) {
	mine := k.terminating.current()
	if mine == nil {
		return nil, &UnservedError{"the terminating Secret has no key", first}
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	deadline, _ := ctx.Deadline()
	caller.SetReadDeadline(deadline)
	hello, read, err := readHello(caller, first)
	caller.SetReadDeadline(time.Time{})
	if err != nil {
		return nil, &UnservedError{fmt.Sprintf("the beginning is no ClientHello: %v", err), read}
	}
	s, server, err := k.prepare(ctx, mine, hello, dial)
	if err != nil {
		return nil, &UnservedError{err.Error(), read}
	}
	c := tls.Server(&prefixed{caller, read}, server)
	if err := c.HandshakeContext(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("TLS handshake with the caller: %w", err)
	}
	s.Caller = tunnel.NewTLS(c, caller)
	s.settle(k, len(c.ConnectionState().PeerCertificates) > 0)
	return s, nil
}

// prepare makes the connection to the application, and the configuration with which the
// caller is to be answered. The error says why there is none.
func (k *Keys) prepare(ctx context.Context, mine *identity, hello *tls.ClientHelloInfo, dial Dial) (*Session, *tls.Config, error) {
	if slices.Contains(hello.Extensions, earlyData) {
		return nil, nil, errors.New("the caller sends early data")
	}
	offers := httpOf(hello.SupportedProtos)
	if len(offers) == 0 && len(hello.SupportedProtos) > 0 {
		return nil, nil, fmt.Errorf("the caller speaks %v", hello.SupportedProtos)
	}
	s := &Session{ServerName: hello.ServerName, dial: dial}
	s.client = &tls.Config{ServerName: hello.ServerName, NextProtos: offers, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: true, // the application is in the same pod
		GetClientCertificate: func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			s.asked = true
			if mine.roots == nil {
				return nil, errors.New("the application asks for a client certificate, and the terminating Secret has no certificate authority to check the caller's")
			}
			return k.own(r)
		}}
	application, err := s.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	state := application.ConnectionState()
	if err := serves(hello, mine.certificate, state.PeerCertificates[0].Raw); err != nil {
		application.Close()
		return nil, nil, err
	}
	s.keep(application)
	server := &tls.Config{Certificates: []tls.Certificate{*mine.certificate}, MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true}
	if s.Protocol = state.NegotiatedProtocol; s.Protocol != "" {
		server.NextProtos = []string{s.Protocol}
	}
	if s.asked {
		server.ClientAuth, server.ClientCAs = tls.VerifyClientCertIfGiven, mine.roots
	}
	return s, server, nil
}

// own is the client certificate for the application.
func (k *Keys) own(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	own := k.originating.current()
	if own == nil {
		return nil, errors.New("the application asks for a client certificate, and the originating Secret has none")
	}
	if err := r.SupportsCertificate(own.certificate); err != nil {
		return nil, fmt.Errorf("the application does not accept the certificate in the originating Secret: %w", err)
	}
	return own.certificate, nil
}

// httpOf keeps the names of HTTP's versions among protocols of ALPN.
func httpOf(protocols []string) []string {
	var kept []string
	for _, p := range protocols {
		if p == "h2" || p == "http/1.1" {
			kept = append(kept, p)
		}
	}
	return kept
}

// serves says why a caller may refuse the certificate although it takes the
// application's. The caller takes it whatever its names are if it is the application's.
func serves(hello *tls.ClientHelloInfo, mine *tls.Certificate, application []byte) error {
	asked := *hello
	if slices.Equal(mine.Certificate[0], application) {
		asked.ServerName = ""
	}
	if err := asked.SupportsCertificate(mine); err != nil {
		return fmt.Errorf("the certificate in the terminating Secret does not suit the caller: %w", err)
	}
	return nil
}

// prefixed is a connection of which the first bytes have been read already.
type prefixed struct {
	*net.TCPConn
	first []byte
}

// Read implements net.Conn.
func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.first) == 0 {
		return p.TCPConn.Read(b)
	}
	n := copy(b, p.first)
	p.first = p.first[n:]
	return n, nil
}
