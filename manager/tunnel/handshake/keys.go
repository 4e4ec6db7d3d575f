package handshake

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"fmt"
	"math/big"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// pinSize is the length of a Pin in bytes.
const pinSize = sha256.Size

// Pin identifies a TLS peer. It is the SHA-256 hash of the subject public key info
// in the certificate (RFC 7469, section 2.4).
type Pin [pinSize]byte

// PinOf returns the pin of a certificate.
func PinOf(c *x509.Certificate) Pin { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }

// Keys are the keys that both session and relay derive from the session's token.
// One authenticates frames that are not encrypted, the other is the session's key
// pair.
type Keys struct {
	mac []byte
	key ed25519.PrivateKey
}

// NewKeys derives the keys with HKDF-SHA256 (RFC 5869).
func NewKeys(token [TokenSize]byte) (*Keys, error) {
	mac, err := hkdf.Key(sha256.New, token[:], nil, "kubectl-intercept line mac", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive line keys: %w", err)
	}
	seed, err := hkdf.Key(sha256.New, token[:], nil, "kubectl-intercept line identity", ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("derive line keys: %w", err)
	}
	return &Keys{mac: mac, key: ed25519.NewKeyFromSeed(seed)}, nil
}

// Pin returns the pin of the session's certificate. Agents verify it.
func (k *Keys) Pin() (Pin, error) {
	der, err := x509.MarshalPKIXPublicKey(k.key.Public())
	if err != nil {
		return Pin{}, fmt.Errorf("encode line key: %w", err)
	}
	return sha256.Sum256(der), nil
}

// Certificate returns the session's certificate. It is self-signed, because agents
// verify its pin.
func (k *Keys) Certificate() ([]tls.Certificate, error) {
	now := time.Now()
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "session"},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.AddDate(10, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, t, t, k.key.Public(), k.key)
	if err != nil {
		return nil, fmt.Errorf("make line certificate: %w", err)
	}
	return []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: k.key}}, nil
}

// tagMAC is the tag of the MAC, the last field of a sealed frame. The MAC covers
// all bytes before the field, and the nonce of the frame to which the sealed frame
// is the answer.
const (
	tagMAC   = 0xff
	macField = 3 + sha256.Size
)

// seal appends the MAC to a frame.
func (k *Keys) seal(purpose string, nonce, b []byte) []byte {
	return frame.AppendField(b, tagMAC, k.sum([]byte(purpose), nonce, b))
}

// sealed says whether seal made the frame with these keys, purpose and nonce.
func (k *Keys) sealed(purpose string, nonce, b []byte) bool {
	if len(b) < macField {
		return false
	}
	body := b[:len(b)-macField]
	tag, mac, rest, err := frame.Next(b[len(body):])
	return err == nil && tag == tagMAC && len(rest) == 0 && hmac.Equal(mac, k.sum([]byte(purpose), nonce, body))
}

func (k *Keys) sum(parts ...[]byte) []byte {
	m := hmac.New(sha256.New, k.mac)
	for _, p := range parts {
		m.Write(binary.BigEndian.AppendUint32(nil, uint32(len(p))))
		m.Write(p)
	}
	return m.Sum(nil)
}
