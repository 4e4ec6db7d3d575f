package handshake

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"time"
)

// pinSize is the length of a Pin in bytes.
const pinSize = sha256.Size

// Pin identifies a TLS peer. It is the SHA-256 hash of the subject public key info
// in the certificate (RFC 7469, section 2.4).
type Pin [pinSize]byte

// PinOf returns the pin of a certificate.
func PinOf(c *x509.Certificate) Pin { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }

// SeedSize is the length of the seed of an Identity in bytes.
const SeedSize = ed25519.SeedSize

// Identity is the Ed25519 key pair (RFC 8032) by which a session proves that it is the
// one in a Session object, and by which a relay proves itself on outbound lines.
type Identity struct{ key ed25519.PrivateKey }

// NewIdentity returns the key pair of a seed, which is the secret.
func NewIdentity(seed [SeedSize]byte) *Identity {
	return &Identity{ed25519.NewKeyFromSeed(seed[:])}
}

// RandomIdentity returns a new key pair.
func RandomIdentity() *Identity {
	var seed [SeedSize]byte
	rand.Read(seed[:]) // never fails
	return NewIdentity(seed)
}

// PublicKey returns the public key as the spec of a Session has it: 64 lower-case
// hexadecimal digits.
func (i *Identity) PublicKey() string { return hex.EncodeToString(i.key.Public().(ed25519.PublicKey)) }

// PublicKeyOf returns the public key of a TLS peer that has proved to hold the private
// key. It is empty if the key is none of an Identity.
func PublicKeyOf(s tls.ConnectionState) string {
	if len(s.PeerCertificates) == 0 {
		return ""
	}
	key, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok {
		return ""
	}
	return hex.EncodeToString(key)
}

// Pin returns the pin of the identity's certificates.
func (i *Identity) Pin() (Pin, error) { return pinOfKey(i.key.Public()) }

// PinOfPublicKey returns the pin of the certificates of the Identity with a public key.
func PinOfPublicKey(publicKey string) (Pin, error) {
	key, err := hex.DecodeString(publicKey)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return Pin{}, fmt.Errorf("public key %q is not %d hexadecimal digits", publicKey, 2*ed25519.PublicKeySize)
	}
	return pinOfKey(ed25519.PublicKey(key))
}

func pinOfKey(key crypto.PublicKey) (Pin, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return Pin{}, fmt.Errorf("encode public key: %w", err)
	}
	return sha256.Sum256(der), nil
}

// Certificate returns a certificate, which the identity has signed itself: peers know
// the public key.
func (i *Identity) Certificate() ([]tls.Certificate, error) {
	now := time.Now()
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "session"},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.AddDate(10, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, t, t, i.key.Public(), i.key)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	return []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: i.key}}, nil
}
