package control

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Identity has the agent's key and certificate, and the root certificates by which the
// agent verifies the manager. Its methods may be called concurrently.
type Identity struct {
	serverName string
	key        crypto.Signer
	// sessions are TLS sessions to resume. A resumed handshake needs no signature.
	sessions tls.ClientSessionCache

	mu          sync.Mutex
	roots       *x509.CertPool
	certificate *tls.Certificate
}

// NewIdentity makes a key. The identity has no client certificate until Client.Enroll
// has got one.
func NewIdentity(s *Settings) (*Identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	return &Identity{
		serverName: s.ServerName, key: key, roots: s.certificatesOf,
		sessions: tls.NewLRUClientSessionCache(8),
	}, nil
}

// TLS returns the configuration for a connection to the manager with the ALPN protocol
// alpn.
func (i *Identity) TLS(alpn string) *tls.Config {
	i.mu.Lock()
	defer i.mu.Unlock()
	c := &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: i.serverName, RootCAs: i.roots,
		NextProtos: []string{alpn}, DynamicRecordSizingDisabled: true, ClientSessionCache: i.sessions,
	}
	if i.certificate != nil {
		c.Certificates = []tls.Certificate{*i.certificate}
	}
	return c
}

func (i *Identity) request(pod string) ([]byte, error) {
	b, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: pod},
	}, i.key)
	if err != nil {
		return nil, fmt.Errorf("make certificate request: %w", err)
	}
	return b, nil
}

func (i *Identity) setCertificate(der []byte) error {
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("parse the certificate that the manager gave: %w", err)
	}
	if key, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || !key.Equal(i.key.Public()) {
		return errors.New("the certificate that the manager gave is for another key")
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.sessions = tls.NewLRUClientSessionCache(8) // the old sessions have no client certificate
	i.certificate = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: i.key, Leaf: leaf}
	return nil
}

// aged reports whether two thirds of the certificate's lifetime have passed.
func (i *Identity) aged(now time.Time) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.certificate == nil {
		return false
	}
	leaf := i.certificate.Leaf
	return now.Sub(leaf.NotBefore) > leaf.NotAfter.Sub(leaf.NotBefore)*2/3
}

// setRoots replaces the root certificates by which the agent verifies the manager.
func (i *Identity) setRoots(pem []byte) error {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return errors.New("the CA bundle that the manager sent holds no PEM certificate")
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.roots = roots
	i.sessions = tls.NewLRUClientSessionCache(8)
	return nil
}
