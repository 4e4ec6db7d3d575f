package handshake

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/record"
)

// Inside of every carrier, session and relay speak TLS 1.3 (RFC 8446). The session checks
// the relay's certificate against the authority that the traffic-manager has published, and
// the relay checks the session's against the public key in its Session object. So whoever
// else is on the way learns nothing, and neither end sends a secret by which it could be
// played. There are no session tickets: every carrier proves both ends anew.

// Authority is what a relay's certificate is checked against.
type Authority struct {
	Roots *x509.CertPool
	// Name is a DNS name in the certificate.
	Name string
}

// DialCarrier shakes hands with the relay at the other end of conn. The connection that it
// returns owns conn, which is left open if there is an error.
func DialCarrier(ctx context.Context, conn net.Conn, own *Identity, a Authority) (net.Conn, error) {
	certificates, err := own.Certificate()
	if err != nil {
		return nil, err
	}
	t := tls.Client(record.NewConn(conn), &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{ALPNCarrier}, DynamicRecordSizingDisabled: true,
		Certificates: certificates, RootCAs: a.Roots, ServerName: a.Name,
	})
	return shaken(ctx, t)
}

// AcceptCarrier shakes hands with the session at the other end of conn, and returns the
// public key whose private key that has proved to hold. Certificate returns the relay's own
// certificate. The connection that AcceptCarrier returns owns conn, which is left open if
// there is an error.
func AcceptCarrier(ctx context.Context, conn net.Conn, certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)) (_ net.Conn, publicKey string, err error) {
	t := tls.Server(record.NewConn(conn), &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{ALPNCarrier}, DynamicRecordSizingDisabled: true,
		GetCertificate: certificate, SessionTicketsDisabled: true, ClientAuth: tls.RequireAnyClientCert,
		VerifyConnection: func(s tls.ConnectionState) error {
			if publicKey = PublicKeyOf(s); publicKey == "" {
				return errors.New("the certificate is none of a session")
			}
			return nil
		},
	})
	c, err := shaken(ctx, t)
	return c, publicKey, err
}

func shaken(ctx context.Context, t *tls.Conn) (net.Conn, error) {
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS inside of the carrier: %w", err)
	}
	return record.NewCarrier(t, t), nil
}
