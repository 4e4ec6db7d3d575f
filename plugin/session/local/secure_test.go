package local

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// selfSigned is a certificate that nobody trusts.
func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// joiner is a flow that sends bytes after its opening, and keeps what it gets.
type joiner struct {
	later string
	got   string
	err   error
}

func (j *joiner) Accept() error { return nil }

func (j *joiner) Join(s tunnel.Stream, _ tunnel.Count) error {
	defer s.Close()
	if _, j.err = io.WriteString(s, j.later); j.err != nil {
		return j.err
	}
	if j.err = s.CloseWrite(); j.err != nil {
		return j.err
	}
	b, err := io.ReadAll(s)
	j.got, j.err = string(b), err
	return err
}

func TestLocalTLS(t *testing.T) {
	cfg := &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}, NextProtos: []string{"h2", "http/1.1"}}
	program := tunneltest.Listen(t, func(below net.Conn) {
		defer below.Close()
		c := tls.Server(below, cfg)
		b, err := io.ReadAll(c)
		if err != nil {
			return
		}
		s := c.ConnectionState()
		io.WriteString(c, s.ServerName+" "+s.NegotiatedProtocol+" "+string(b))
		c.Close()
	})
	raw := tunneltest.Listen(t, func(c net.Conn) {
		defer c.Close()
		b, _ := io.ReadAll(c)
		c.Write(append([]byte("raw "), b...))
	})
	clear := tunneltest.Listen(t, func(c net.Conn) {
		defer c.Close()
		c.Read(make([]byte, 1))
		io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
	})
	for _, x := range []struct {
		name, server, first, later string
		program                    net.Listener
		tls                        bool // the user says so
		taken                      bool // the agent took the flow out of TLS, of an intercept of everything
		want                       string
		err                        error
	}{
		{"HTTP/1", "quote.shop", "GET / HTTP/1.1\r\n", "\r\n", program, true, false, "quote.shop http/1.1 GET / HTTP/1.1\r\n\r\n", nil},
		{"HTTP/2", "", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "", program, true, false, "localhost h2 PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", nil},
		{"first bytes that come later", "quote", "", "GET /", program, true, false, "quote http/1.1 GET /", nil},
		{"TLS of the caller", "quote", "\x16\x03\x01", "x", raw, true, false, "raw \x16\x03\x01x", nil},
		{"TLS of the caller, later", "quote", "", "\x16\x03\x01x", raw, true, false, "raw \x16\x03\x01x", nil},
		{"no bytes at all", "quote", "", "", raw, true, false, "raw ", nil},
		{"clear text", "quote", "GET /", "", raw, false, false, "raw GET /", nil},
		{"everything, out of TLS", "quote", "GET /", "", program, false, true, "quote http/1.1 GET /", nil},
		{"a program without TLS", "quote", "GET /", "", clear, true, false, "", frame.ErrRefused},
	} {
		port := int32(x.program.Addr().(*net.TCPAddr).Port)
		table := NewTable(t.Context(), nil, "session", "jane", slog.New(slog.DiscardHandler), func() {})
		i := &v1alpha1.Intercept{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote", UID: "i"},
			Spec: v1alpha1.InterceptSpec{User: "jane", Session: "session",
				Ports: []v1alpha1.InterceptPort{{Protocol: "TCP", LocalHost: "127.0.0.1", LocalPort: port, LocalTLS: x.tls}}}}
		table.entries[client.ObjectKeyFromObject(i)] = newEntry(i)
		flow := &joiner{later: x.later}
		err := table.Handle(t.Context(), &frame.Open{Intercept: "shop/quote", InterceptUID: "i", Port: 80, ServerName: x.server, TLS: x.taken, First: []byte(x.first)}, flow)
		if !errors.Is(err, x.err) || flow.got != x.want {
			t.Errorf("%s: got %q, %v, want %q", x.name, flow.got, err, x.want)
		}
	}
}
