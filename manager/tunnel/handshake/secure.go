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

// Inside of every carrier, and at the beginning of every direct connection, session and relay speak TLS 1.3 (RFC 8446). The session checks
// the relay's certificate against the authority that the traffic-manager has published, and
// the relay checks the session's against the public key in its Session object. So whoever
// else is on the way learns nothing, and neither end sends a secret by which it could be
// played. There are no session tickets: every carrier proves both ends anew.

// Authority is what a relay's certificate is checked against.
type Authority struct {
	Roots *x509.CertPool
	// Name is a DNS name in the certificate.
	Name string
	// Host is the name that the session says it wants, by which something on the way may
	// choose where to pass the connection on. If it is empty, that is Name.
	Host string
}

// client returns the configuration of the session with the key pair own.
func (a *Authority) client(own *Identity, protocol string) (*tls.Config, error) {
	certificates, err := own.Certificate()
	if err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{protocol}, DynamicRecordSizingDisabled: true,
		Certificates: certificates, RootCAs: a.Roots, ServerName: a.Name}
	if a.Host != "" {
		c.ServerName, c.InsecureSkipVerify, c.VerifyConnection = a.Host, true, a.verify
	}
	return c, nil
}

// verify does what crypto/tls does by itself when the name in the certificate is the one that
// the client sends.
func (a *Authority) verify(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("the relay has shown no certificate")
	}
	o := x509.VerifyOptions{Roots: a.Roots, DNSName: a.Name, Intermediates: x509.NewCertPool()}
	for _, c := range s.PeerCertificates[1:] {
		o.Intermediates.AddCert(c)
	}
	if _, err := s.PeerCertificates[0].Verify(o); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
	}
	return nil
}

// DialCarrier shakes hands with the relay at the other end of conn. The connection that it
// returns owns conn, which is left open if there is an error.
func DialCarrier(ctx context.Context, conn net.Conn, own *Identity, a Authority) (net.Conn, error) {
	config, err := a.client(own, ALPNCarrier)
	if err != nil {
		return nil, err
	}
	t, err := shaken(ctx, tls.Client(record.NewConn(conn), config))
	if err != nil {
		return nil, err
	}
	return record.NewCarrier(t, t), nil
}

// DialOffer shakes hands with the relay at the other end of conn, which is left open. The
// session offers a line on the connection that DialOffer returns; see Offer.
func DialOffer(ctx context.Context, conn net.Conn, own *Identity, a Authority) (*Offer, error) {
	config, err := a.client(own, ALPNOffer)
	if err != nil {
		return nil, err
	}
	below := record.NewConn(conn)
	t, err := shaken(ctx, tls.Client(below, config))
	if err != nil {
		return nil, err
	}
	return &Offer{Conn: conn, tls: t, below: below}, nil
}

// Offer is the session's end of a direct connection on which it offers a line. Reads and
// writes are encrypted for the relay until Below is called.
type Offer struct {
	net.Conn // for addresses, deadlines, and to close it without another word
	tls      *tls.Conn
	below    *record.Conn
}

// Read implements net.Conn.
func (o *Offer) Read(b []byte) (int, error) { return o.tls.Read(b) }

// Write implements net.Conn.
func (o *Offer) Write(b []byte) (int, error) { return o.tls.Write(b) }

// Below returns the connection itself, with what has arrived on it since the relay's last
// word. The relay has assigned the line. Whoever closes the result calls closing.
func (o *Offer) Below(closing func() error) *record.Conn {
	o.below.Conn = &closer{o.Conn, closing}
	return o.below
}

// closer closes a connection by a function.
type closer struct {
	net.Conn
	closing func() error
}

// Close implements net.Conn.
func (c *closer) Close() error { return c.closing() }

// Certificates returns a relay's own certificate, as a tls.Config does.
type Certificates = func(*tls.ClientHelloInfo) (*tls.Certificate, error)

// AcceptCarrier shakes hands with the session at the other end of conn, and returns the
// public key whose private key that has proved to hold. The connection that AcceptCarrier
// returns owns conn, which is left open if there is an error.
func AcceptCarrier(ctx context.Context, conn net.Conn, certificate Certificates) (_ net.Conn, publicKey string, err error) {
	t, publicKey, err := Accept(ctx, conn, certificate, ALPNCarrier)
	if err != nil {
		return nil, "", err
	}
	return record.NewCarrier(t, t), publicKey, nil
}

// Accept does that with a session that may choose between protocols, which the connection
// that it returns names.
func Accept(ctx context.Context, conn net.Conn, certificate Certificates, protocols ...string) (_ *tls.Conn, publicKey string, err error) {
	t := tls.Server(record.NewConn(conn), &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: protocols, DynamicRecordSizingDisabled: true,
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

func shaken(ctx context.Context, t *tls.Conn) (*tls.Conn, error) {
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS between session and relay: %w", err)
	}
	return t, nil
}
