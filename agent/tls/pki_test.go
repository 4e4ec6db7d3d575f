package tls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority signs certificates of a test.
type authority struct {
	t           *testing.T
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	a.certificate = &x509.Certificate{Subject: pkix.Name{CommonName: "authority " + rand.Text()}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.key = a.sign(a.certificate, a.certificate, nil)
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
	return a
}

// sign makes a key, and completes c with a certificate for it that key signs; nil is for
// the new key.
func (a *authority) sign(c, by *x509.Certificate, key *ecdsa.PrivateKey) *ecdsa.PrivateKey {
	a.t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if key == nil {
		key = own
	}
	c.SerialNumber, _ = rand.Int(rand.Reader, big.NewInt(1<<62))
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, c, by, own.Public(), key)
	if err != nil {
		a.t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	*c = *made
	return own
}

// pair is a certificate and its key in PEM.
type pair struct{ chain, key []byte }

// issue makes a certificate for a name, which is good for both ends.
func (a *authority) issue(name string) pair {
	a.t.Helper()
	c := &x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	key := a.sign(c, a.certificate, a.key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return pair{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.certificate)
	return p
}

func (p pair) certificate(t *testing.T) tls.Certificate {
	t.Helper()
	c, err := tls.X509KeyPair(p.chain, p.key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// files are those of a Secret.
type files map[string][]byte

func (p pair) files(roots []byte) files {
	f := files{"tls.crt": p.chain, "tls.key": p.key}
	if roots != nil {
		f["ca.crt"] = roots
	}
	return f
}

// mount writes files as the kubelet does: it makes a new folder, and then exchanges the
// link that leads to it.
func mount(t *testing.T, folder, version string, f files) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(os.MkdirAll(filepath.Join(folder, version), 0o700))
	for name, content := range f {
		check(os.WriteFile(filepath.Join(folder, version, name), content, 0o600))
		if _, err := os.Lstat(filepath.Join(folder, name)); err != nil {
			check(os.Symlink(filepath.Join("..data", name), filepath.Join(folder, name)))
		}
	}
	check(os.Symlink(version, filepath.Join(folder, "..next")))
	check(os.Rename(filepath.Join(folder, "..next"), filepath.Join(folder, "..data")))
}
