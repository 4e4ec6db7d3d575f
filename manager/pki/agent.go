package pki

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Pod is who an agent is.
type Pod struct {
	Namespace, Name, UID string
}

// String is "namespace/name".
func (p Pod) String() string { return p.Namespace + "/" + p.Name }

// tokenSize is expiry u64, nonce 16 bytes, HMAC-SHA256.
const tokenSize = 8 + 16 + sha256.Size

// Token makes an enrollment token that this pod alone can use until the expiry.
func (a *Authority) Token(p Pod, expiry time.Time) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(expiry.Unix()))
	nonce := make([]byte, 16)
	rand.Read(nonce)
	b = append(b, nonce...)
	return base64.RawURLEncoding.EncodeToString(append(b, a.mac(p, b)...))
}

// CheckToken says whether the token is one of Token's and still good. That
// it is used once is the caller's to see to.
func (a *Authority) CheckToken(p Pod, token string, now time.Time) error {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) != tokenSize {
		return errors.New("malformed enrollment token")
	}
	if subtle.ConstantTimeCompare(b[24:], a.mac(p, b[:24])) != 1 {
		return errors.New("enrollment token of another pod")
	}
	if now.Unix() > int64(binary.BigEndian.Uint64(b)) {
		return errors.New("enrollment token has expired")
	}
	return nil
}

// Key derives a key for another purpose. All replicas derive the same, and the rotation of
// the authority does not change it.
func (a *Authority) Key(purpose string) ([]byte, error) {
	return hkdf.Key(sha256.New, a.now.Load().enroll, nil, purpose, sha256.Size)
}

func (a *Authority) mac(p Pod, head []byte) []byte {
	m := hmac.New(sha256.New, a.now.Load().enroll)
	m.Write(head)
	for _, s := range []string{p.Namespace, p.Name, p.UID} {
		m.Write(binary.BigEndian.AppendUint32(nil, uint32(len(s))))
		m.Write([]byte(s))
	}
	return m.Sum(nil)
}

// SignAgent makes a client certificate for the pod out of a PKCS #10 request
// in DER. Nothing but the key is taken from the request.
func (a *Authority) SignAgent(p Pod, request []byte, now time.Time) ([]byte, error) {
	csr, err := x509.ParseCertificateRequest(request)
	if err != nil {
		return nil, fmt.Errorf("parse certificate request: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("check certificate request: %w", err)
	}
	by := a.now.Load()
	return x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial(),
		Subject: pkix.Name{CommonName: p.UID, Organization: []string{p.Namespace},
			OrganizationalUnit: []string{p.Name}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(agentLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, by.cert, csr.PublicKey, by.key)
}

// PeerPod reads the pod off a verified connection; false when the peer showed
// no certificate.
func PeerPod(s tls.ConnectionState) (Pod, bool) {
	if len(s.VerifiedChains) == 0 {
		return Pod{}, false
	}
	n := s.PeerCertificates[0].Subject
	if n.CommonName == "" || len(n.Organization) != 1 || len(n.OrganizationalUnit) != 1 {
		return Pod{}, false
	}
	return Pod{Namespace: n.Organization[0], Name: n.OrganizationalUnit[0], UID: n.CommonName}, true
}
