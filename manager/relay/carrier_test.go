package relay

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// carrier is a connection on which the TLS of a carrier follows.
func (l *lineLab) carrier() net.Conn {
	l.t.Helper()
	return l.upgraded(handshake.UpgradePath, handshake.UpgradeProtocol)
}

// greet comes as the session "alice" with a key, and returns what the relay says.
func (l *lineLab) greet(c net.Conn, own *handshake.Identity) (*handshake.Welcome, error) {
	secure, err := handshake.DialCarrier(l.t.Context(), c, own, handshake.Authority{Roots: l.authority.Pool(), Name: "relay"})
	if err != nil {
		return nil, err
	}
	if err := handshake.WriteHello(secure, &handshake.Hello{Session: "alice", Generation: 1, Secret: secret, Direction: handshake.Outbound}); err != nil {
		return nil, err
	}
	return handshake.ReadWelcome(secure)
}

func TestCarrierProvesTheSession(t *testing.T) {
	l := newLineLab(t)
	if w, err := l.greet(l.carrier(), ofAlice); err != nil || w.Refusal != "" {
		t.Fatalf("the session is refused: %+v, %v", w, err)
	}
	if w, err := l.greet(l.carrier(), handshake.RandomIdentity()); err != nil || w.Refusal != errKey.Error() {
		t.Errorf("another key: %+v, %v", w, err)
	}
	for name, change := range map[string]func(*tls.Config){
		"no certificate":              func(c *tls.Config) { c.Certificates = nil },
		"a certificate of other kind": func(c *tls.Config) { c.Certificates = []tls.Certificate{tunneltest.Certificate(t, "session")} },
		"the key of somebody else": func(c *tls.Config) {
			forged, err := handshake.RandomIdentity().Certificate()
			if err != nil {
				t.Fatal(err)
			}
			c.Certificates[0].PrivateKey = forged[0].PrivateKey
		},
		"an old TLS":       func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 },
		"another protocol": func(c *tls.Config) { c.NextProtos = []string{handshake.ALPNFlow} },
	} {
		certificates, err := ofAlice.Certificate()
		if err != nil {
			t.Fatal(err)
		}
		config := &tls.Config{Certificates: certificates, RootCAs: l.authority.Pool(), ServerName: "relay", NextProtos: []string{handshake.ALPNCarrier}}
		change(config)
		c := tls.Client(l.carrier(), config)
		if err = c.Handshake(); err == nil {
			err = handshake.WriteHello(c, &handshake.Hello{Session: "alice", Generation: 1, Secret: secret})
		}
		if err == nil {
			_, err = handshake.ReadWelcome(c)
		}
		if err == nil {
			t.Errorf("%s: the relay answers", name)
		}
	}
}

// What was stolen from a laptop yesterday is of no use today: the Session of then is gone,
// or one with its name has another key.
func TestKeyOfYesterday(t *testing.T) {
	l := newLineLab(t)
	key := client.ObjectKey{Namespace: system, Name: "alice"}
	var s v1alpha1.Session
	if err := l.objects.Get(t.Context(), key, &s); err != nil {
		t.Fatal(err)
	}
	today := handshake.RandomIdentity()
	s.Spec.PublicKey = today.PublicKey()
	if err := l.objects.Update(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	if w, err := l.greet(l.carrier(), ofAlice); err != nil || w.Refusal != errKey.Error() {
		t.Errorf("yesterday's key: %+v, %v", w, err)
	}
	if w, err := l.greet(l.carrier(), today); err != nil || w.Refusal != "" {
		t.Errorf("today's key: %+v, %v", w, err)
	}
	if err := l.objects.Delete(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	if w, err := l.greet(l.carrier(), today); err != nil || w.Refusal != errKey.Error() {
		t.Errorf("after its end: %+v, %v", w, err)
	}
}

// Whoever passes the bytes on, as the API server does, sees no secret in them, and gets
// nowhere with them a second time.
func TestReplay(t *testing.T) {
	l := newLineLab(t)
	heard := &tap{Conn: l.carrier()}
	if w, err := l.greet(heard, ofAlice); err != nil || w.Refusal != "" {
		t.Fatalf("the session is refused: %+v, %v", w, err)
	}
	sent := heard.sent()
	if bytes.Contains(sent, secret[:]) || bytes.Contains(sent, []byte("alice")) {
		t.Error("the Hello can be read on the way")
	}
	again := l.carrier()
	if _, err := again.Write(sent); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(again)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatalf("the relay goes on listening after %d bytes", len(answer))
	}
	l.relay.mu.Lock()
	defer l.relay.mu.Unlock()
	if n := l.relay.sessions["alice"].carriers; n != 2 { // the lab's own and the one above
		t.Errorf("%d carriers", n)
	}
}

// tap remembers what is sent.
type tap struct {
	net.Conn
	mu  sync.Mutex
	all []byte
}

func (c *tap) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.all = append(c.all, b...)
	c.mu.Unlock()
	return c.Conn.Write(b)
}

func (c *tap) sent() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.all)
}

// Whoever sits where the traffic-manager is and has no certificate of its authority, gets
// nothing from a session: no Hello, and so neither a name nor a secret. It cannot play the
// session towards the traffic-manager either.
func TestManInTheMiddle(t *testing.T) {
	l := newLineLab(t)
	own := tunneltest.Certificate(t, "relay")
	here, there := tunneltest.Pair(t)
	heard := make(chan error, 1)
	go func() {
		defer there.Close()
		secure, publicKey, err := handshake.AcceptCarrier(context.Background(), there, func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &own, nil })
		if err == nil {
			_, err = handshake.ReadHello(secure)
		}
		if publicKey != "" {
			err = nil
		}
		heard <- err
	}()
	if _, err := l.greet(here, ofAlice); err == nil {
		t.Error("the session takes the man in the middle for the traffic-manager")
	} else if forged := (*tls.CertificateVerificationError)(nil); !errors.As(err, &forged) {
		t.Errorf("the session ends with %v", err)
	}
	here.Close()
	if err := <-heard; err == nil {
		t.Error("the man in the middle has heard who the session is")
	}
}
