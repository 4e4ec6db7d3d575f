package license

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"
)

func TestParsePublicKey(t *testing.T) {
	ed, rs, small := newEd25519(t), newRSA(t, 2048), newRSA(t, 1024)
	private, err := x509.MarshalPKCS8PrivateKey(ed.private)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	flat := base64.StdEncoding.EncodeToString(rs.der(t))
	for name, test := range map[string]struct{ text, err string }{
		"Ed25519 in PEM":        {ed.pem(t), ""},
		"with space around":     {"\n  " + ed.pem(t) + "\n", ""},
		"RSA in PEM":            {rs.pem(t), ""},
		"RSA PKCS #1":           {string(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(rs.private.Public().(*rsa.PublicKey))})), ""},
		"base64 of DER":         {base64.StdEncoding.EncodeToString(ed.der(t)), ""},
		"base64 in lines":       {flat[:40] + "\n" + flat[40:80] + "\r\n" + flat[80:] + "\n", ""},
		"none":                  {" \n", "set license.publicKey"},
		"a private key":         {string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})), `a PEM block "PRIVATE KEY", want "PUBLIC KEY"`},
		"words":                 {"my key!", "neither PEM nor base64"},
		"base64 of other bytes": {"aGVsbG8=", "read license.publicKey"},
		"a short RSA key":       {small.pem(t), "an RSA key of 1024 bits, want 2048"},
		"an elliptic curve":     {signer{private: ec}.pem(t), "*ecdsa.PublicKey, want an Ed25519 or RSA key"},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := ParsePublicKey(test.text)
			if test.err == "" {
				if key == nil || err != nil {
					t.Fatalf("%v, %v", key, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Fatalf("got %v, want an error with %q", err, test.err)
			}
		})
	}
}

func FuzzParsePublicKey(f *testing.F) {
	f.Add(newEd25519(f).pem(f))
	f.Add("aGVsbG8=")
	f.Fuzz(func(t *testing.T, text string) {
		if key, err := ParsePublicKey(text); (key == nil) == (err == nil) {
			t.Errorf("key %v and error %v", key, err)
		}
	})
}
