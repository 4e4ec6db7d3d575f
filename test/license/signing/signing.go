// Package signing makes keys and signs licenses, for tests. It shares no code with
// the product, which verifies the licenses: both agree only on the claims.
package signing

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Algorithms for signing licenses.
const (
	Ed25519 = "ed25519"
	RSA     = "rsa"
)

// Key is a private key that signs licenses.
type Key struct{ private crypto.Signer }

// NewKey makes a key for an algorithm.
func NewKey(algorithm string) (*Key, error) {
	switch algorithm {
	case Ed25519:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return &Key{private}, err
	case RSA:
		private, err := rsa.GenerateKey(rand.Reader, 2048)
		return &Key{private}, err
	}
	return nil, fmt.Errorf("algorithm %q: use %s or %s", algorithm, Ed25519, RSA)
}

// ParseKey parses the output of Key.Private.
func ParseKey(text []byte) (*Key, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("not a PEM block \"PRIVATE KEY\"")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	switch key := key.(type) {
	case ed25519.PrivateKey:
		return &Key{key}, nil
	case *rsa.PrivateKey:
		return &Key{key}, nil
	}
	return nil, fmt.Errorf("cannot sign with a %T", key)
}

// Private returns the private key as PKCS #8 in PEM.
func (k *Key) Private() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
}

// Public returns the public key in PEM, for the chart's value license.publicKey.
func (k *Key) Public() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(k.private.Public())
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), err
}

// License has the claims of a license. A zero NotBefore or IssuedAt is left out.
type License struct {
	Cluster, Subject             string
	Expires, NotBefore, IssuedAt time.Time
}

// Sign returns the license as a signed JWT.
func (k *Key) Sign(l License) (string, error) {
	var method jwt.SigningMethod = jwt.SigningMethodEdDSA
	if _, ok := k.private.(*rsa.PrivateKey); ok {
		method = jwt.SigningMethodRS256
	}
	claims := jwt.MapClaims{"aud": l.Cluster, "sub": l.Subject, "exp": l.Expires.Unix()}
	if !l.NotBefore.IsZero() {
		claims["nbf"] = l.NotBefore.Unix()
	}
	if !l.IssuedAt.IsZero() {
		claims["iat"] = l.IssuedAt.Unix()
	}
	return jwt.NewWithClaims(method, claims).SignedString(k.private)
}
