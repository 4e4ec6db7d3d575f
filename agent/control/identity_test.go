package control

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"testing"
	"time"
)

func TestAged(t *testing.T) {
	i, err := NewIdentity(&Settings{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if i.aged(now) {
		t.Error("no certificate is an old one")
	}
	authority, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now, NotAfter: now.Add(30 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, i.key.Public(), authority)
	if err != nil {
		t.Fatal(err)
	}
	if err := i.setCertificate(der); err != nil {
		t.Fatal(err)
	}
	for after, want := range map[time.Duration]bool{0: false, 19 * time.Hour: false, 21 * time.Hour: true, 40 * time.Hour: true} {
		if got := i.aged(now.Add(after)); got != want {
			t.Errorf("after %v: %v", after, got)
		}
	}
}
