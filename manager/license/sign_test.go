package license

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// here is the id of the cluster of all tests, noon their time.
const here = "6c1e2a4b-0000-4000-8000-000000000001"

var noon = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

type signer struct {
	method  jwt.SigningMethod
	private crypto.Signer
}

func newEd25519(t testing.TB) signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{jwt.SigningMethodEdDSA, private}
}

func newRSA(t testing.TB, bits int) signer {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	private, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return signer{jwt.SigningMethodRS256, private}
}

// good are the claims of a license that holds here at noon, for another month.
func good() jwt.MapClaims {
	return jwt.MapClaims{"sub": "acme", "aud": here, "exp": noon.AddDate(0, 1, 0).Unix()}
}

// with is good with some claims replaced; nil removes one.
func with(changes jwt.MapClaims) jwt.MapClaims {
	c := good()
	for k, v := range changes {
		c[k] = v
		if v == nil {
			delete(c, k)
		}
	}
	return c
}

func (s signer) sign(t testing.TB, c jwt.Claims) string {
	t.Helper()
	token, err := jwt.NewWithClaims(s.method, c).SignedString(s.private)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (s signer) der(t testing.TB) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(s.private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func (s signer) pem(t testing.TB) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: s.der(t)}))
}
