//go:build linux

package lab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// Authority signs certificates for servers that tests run, and for their clients.
type Authority struct {
	// PEM is the authority's own certificate.
	PEM []byte

	lab  *Lab
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// Pair is a certificate with its key.
type Pair struct {
	Cert, Key []byte // PEM
	tls.Certificate
}

// Authority makes an Authority.
func (l *Lab) Authority() *Authority {
	l.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	l.Must(err)
	a := &Authority{lab: l, key: key}
	template := a.template("an authority of a test")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	l.Must(err)
	a.cert, err = x509.ParseCertificate(der)
	l.Must(err)
	a.PEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

func (a *Authority) template(name string) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	a.lab.Must(err)
	return &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
}

// Issue makes a certificate for a client with that name, or for a server at the
// addresses.
func (a *Authority) Issue(name string, at ...net.IP) *Pair {
	a.lab.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.lab.Must(err)
	template := a.template(name)
	template.IPAddresses, template.KeyUsage = at, x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	a.lab.Must(err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	a.lab.Must(err)
	p := &Pair{Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})}
	p.Certificate, err = tls.X509KeyPair(p.Cert, p.Key)
	a.lab.Must(err)
	return p
}
