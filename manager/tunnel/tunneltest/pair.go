// Package tunneltest makes connections for the tests of the flow protocol.
package tunneltest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"runtime"
	"testing"
	"time"
)

// Pair returns the two ends of a TCP connection on the loopback interface.
func Pair(t testing.TB) (*net.TCPConn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

// Certificate returns a certificate for a DNS name, with its Leaf, that its own key has
// signed.
func Certificate(t testing.TB, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// TLS returns the two ends of a TLS connection over a Pair. It calls wrap for each
// end of the Pair, and negotiates the protocol by ALPN.
func TLS(t testing.TB, protocol string, wrap func(net.Conn) net.Conn) (client, server *tls.Conn) {
	t.Helper()
	own := Certificate(t, "relay")
	pool := x509.NewCertPool()
	pool.AddCert(own.Leaf)
	a, b := Pair(t)
	client = tls.Client(wrap(a), &tls.Config{RootCAs: pool, ServerName: "relay", NextProtos: []string{protocol}})
	server = tls.Server(wrap(b), &tls.Config{NextProtos: []string{protocol}, Certificates: []tls.Certificate{own}})
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

// Wait waits until ok returns true. It fails the test after ten seconds.
func Wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s", what)
		}
		runtime.Gosched()
	}
}

// Pour writes b.N chunks to one connection and reads them from the other. It measures
// the throughput, and checks that every byte arrives.
func Pour(b *testing.B, from, to *net.TCPConn) {
	b.Helper()
	chunk := make([]byte, 128<<10)
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	got := make(chan int64, 1)
	go func() {
		n, _ := io.Copy(onlyWriter{io.Discard}, to)
		got <- n
	}()
	b.ResetTimer()
	for range b.N {
		if _, err := from.Write(chunk); err != nil {
			b.Fatal(err)
		}
	}
	from.CloseWrite()
	if n := <-got; n != int64(b.N*len(chunk)) {
		b.Fatalf("received %d bytes of %d", n, b.N*len(chunk))
	}
}

// onlyWriter hides the ReadFrom method of a Writer, so that io.Copy moves the bytes
// through user space, as the product does.
type onlyWriter struct{ io.Writer }

// Ended is a tunnel.Stream that has ended: Read returns io.EOF, and Write discards.
type Ended struct{}

// Read implements io.Reader.
func (Ended) Read([]byte) (int, error) { return 0, io.EOF }

// Write implements io.Writer.
func (Ended) Write(p []byte) (int, error) { return len(p), nil }

// CloseWrite implements tunnel.Stream.
func (Ended) CloseWrite() error { return nil }

// Reset implements tunnel.Stream.
func (Ended) Reset() {}

// Close implements io.Closer.
func (Ended) Close() error { return nil }

// SetReadDeadline implements tunnel.Stream.
func (Ended) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements tunnel.Stream.
func (Ended) SetWriteDeadline(time.Time) error { return nil }
