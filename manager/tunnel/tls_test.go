package tunnel

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"testing"
	"time"
)

// tlsPair returns the two ends of a TLS connection on the loopback, on top of
// what wrap makes of the server's end of the TCP connection.
func tlsPair(t testing.TB) (client, server *tls.Conn) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"relay"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	a, b := pair(t)
	client = tls.Client(NewRecordConn(a), &tls.Config{RootCAs: pool, ServerName: "relay", NextProtos: []string{ALPNFlow}})
	server = tls.Server(NewRecordConn(b), &tls.Config{NextProtos: []string{ALPNFlow},
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return client, server
}

// flowPair returns the two ends of the agent's leg.
func flowPair(t testing.TB) (*FlowConn, *FlowConn) {
	t.Helper()
	c, s := tlsPair(t)
	a, err := NewFlowConn(c)
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewFlowConn(s)
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}
