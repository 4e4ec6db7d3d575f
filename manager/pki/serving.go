package pki

import (
	"bytes"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// Serving keeps the serving certificate of a replica. It is safe for concurrent use.
type Serving struct {
	Authority *Authority
	// Names and IPs go into the certificate.
	Names []string
	IPs   []net.IP

	mu   sync.Mutex
	cert *tls.Certificate
	by   []byte // the bundle of the authority that signed cert
}

// Certificate makes a certificate when there is none, the present one has lived two thirds
// of its life, or there is a new authority. It is a tls.Config's GetCertificate.
func (s *Serving) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, bundle := time.Now(), s.Authority.Bundle()
	if s.cert != nil && bytes.Equal(s.by, bundle) && now.Before(s.cert.Leaf.NotAfter.Add(-s.cert.Leaf.NotAfter.Sub(s.cert.Leaf.NotBefore)/3)) {
		return s.cert, nil
	}
	cert, err := s.Authority.Serving(s.Names, s.IPs, now)
	if err != nil {
		return nil, err
	}
	s.cert, s.by = cert, bundle
	return cert, nil
}
