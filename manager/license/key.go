package license

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// minRSA is the minimum size in bits of RS256 keys in RFC 7518.
const minRSA = 2048

// ParsePublicKey parses the public key that verifies licenses. The text is a PEM
// block "PUBLIC KEY" or "RSA PUBLIC KEY", or the base64 encoding of a DER
// SubjectPublicKeyInfo (RFC 5280).
func ParsePublicKey(text string) (crypto.PublicKey, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, errors.New("there is no public key to check the license with: set license.publicKey")
	}
	der, kind := []byte(nil), "PUBLIC KEY"
	if block, _ := pem.Decode([]byte(text)); block != nil {
		der, kind = block.Bytes, block.Type
	} else {
		var err error
		if der, err = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), "")); err != nil {
			return nil, errors.New("license.publicKey is neither PEM nor base64 of a DER key")
		}
	}
	var key any
	var err error
	switch kind {
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(der)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(der)
	default:
		return nil, fmt.Errorf("license.publicKey is a PEM block %q, want \"PUBLIC KEY\"", kind)
	}
	if err != nil {
		return nil, fmt.Errorf("read license.publicKey: %w", err)
	}
	switch key := key.(type) {
	case ed25519.PublicKey:
		return key, nil
	case *rsa.PublicKey:
		if key.Size()*8 < minRSA {
			return nil, fmt.Errorf("license.publicKey is an RSA key of %d bits, want %d or more", key.Size()*8, minRSA)
		}
		return key, nil
	}
	return nil, fmt.Errorf("license.publicKey is a %T, want an Ed25519 or RSA key", key)
}
