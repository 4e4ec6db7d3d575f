package carrier

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"net"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	fakeclient "sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// relay is a transport that ends in a relay with a certificate.
type relay struct {
	t    *testing.T
	cert tls.Certificate
	seen chan string // the public keys of sessions
}

func (r *relay) Name() string { return "fake" }

func (r *relay) Dial(context.Context) (net.Conn, error) {
	near, far := tunneltest.Pair(r.t)
	go func() {
		_, publicKey, err := handshake.AcceptCarrier(context.Background(), far, func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &r.cert, nil })
		if err != nil {
			far.Close()
			publicKey = ""
		}
		r.seen <- publicKey
	}()
	return near, nil
}

func TestSecure(t *testing.T) {
	name := handshake.ServerName(managerName, "ns")
	published := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: managerName}}
	c := fakeclient.NewClientBuilder().WithObjects(published).Build()
	r := &relay{t, tunneltest.Certificate(t, name), make(chan string, 1)}
	publish := func(cert tls.Certificate) {
		t.Helper()
		published.Data = map[string]string{handshake.AuthorityKey: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}))}
		if err := c.Update(t.Context(), published); err != nil {
			t.Fatal(err)
		}
	}
	own := handshake.RandomIdentity()
	s := Secure(r, own, NewTrust(c, "ns"))
	dial := func() error {
		t.Helper()
		conn, err := s.Dial(t.Context())
		if err == nil {
			defer conn.Close()
		}
		return err
	}
	refused := func(what, want string) {
		t.Helper()
		if err := dial(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", what, err)
		}
	}

	refused("nothing is published", `has no certificates at "ca.crt"`)
	<-r.seen
	publish(r.cert)
	if err := dial(); err != nil {
		t.Fatal(err)
	}
	if key := <-r.seen; key != own.PublicKey() {
		t.Errorf("the relay sees the key %q", key)
	}

	// Somebody else answers. Another transport may lead to the traffic-manager.
	true0 := r.cert
	r.cert = tunneltest.Certificate(t, name)
	refused("a forged traffic-manager", "cannot prove that it is the traffic-manager")
	if key := <-r.seen; key != "" {
		t.Error("the forged traffic-manager has heard who the session is")
	}
	if err := dial(); !Elsewhere(err) || IsNotPossible(err) {
		t.Errorf("the error is %v", err)
	}
	<-r.seen
	r.cert = tunneltest.Certificate(t, "another.ns.svc")
	publish(r.cert)
	refused("a certificate with another name", "cannot prove")
	<-r.seen

	// The traffic-manager has a new authority.
	publish(true0)
	r.cert = true0
	if err := dial(); err != nil {
		t.Error(err)
	}
	<-r.seen
	if err := c.Delete(t.Context(), published); err != nil {
		t.Fatal(err)
	}
	if err := dial(); err != nil {
		t.Errorf("what was read is not remembered: %v", err)
	}
	if _, err := NewTrust(c, "ns").authority(t.Context()); client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("without a ConfigMap: %v", err)
	}
}

// A dial that is canceled ends, whatever the relay does.
func TestSecureIsCanceled(t *testing.T) {
	published := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: managerName}}
	cert := tunneltest.Certificate(t, "x")
	published.Data = map[string]string{handshake.AuthorityKey: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}))}
	ctx, cancel := context.WithCancel(t.Context())
	s := Secure(&silentRelay{t, cancel}, handshake.RandomIdentity(), NewTrust(fakeclient.NewClientBuilder().WithObjects(published).Build(), "ns"))
	if _, err := s.Dial(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("the dial ends with %v", err)
	}
}

// silentRelay is a transport on which nobody answers; the dial is canceled meanwhile.
type silentRelay struct {
	t      *testing.T
	cancel func()
}

func (r *silentRelay) Name() string { return "silent" }

func (r *silentRelay) Dial(context.Context) (net.Conn, error) {
	near, far := tunneltest.Pair(r.t)
	go func() {
		far.Read(make([]byte, 1))
		r.cancel()
	}()
	return near, nil
}
