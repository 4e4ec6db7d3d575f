package relay

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/line"
)

// dialDirect dials the relay itself.
func (l *lineLab) dialDirect() net.Conn {
	l.t.Helper()
	c, err := net.Dial("tcp", l.direct)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// published is the authority that sessions read.
func (l *lineLab) published(host string) handshake.Authority {
	return handshake.Authority{Roots: l.authority.Pool(), Name: "relay", Host: host}
}

// offered is a direct connection on which a session with a key offers lines.
func (l *lineLab) offered(own *handshake.Identity) *handshake.Offer {
	l.t.Helper()
	o, err := handshake.DialOffer(l.t.Context(), l.dialDirect(), own, l.published("direct.example.com"))
	if err != nil {
		l.t.Fatal(err)
	}
	return o
}

func TestDirectCarrier(t *testing.T) {
	l := newLineLab(t)
	if w, err := l.greet(l.dialDirect(), ofAlice); err != nil || w.Refusal != "" {
		t.Errorf("the session: %+v, %v", w, err)
	}
	if w, err := l.greet(l.dialDirect(), handshake.RandomIdentity()); err != nil || w.Refusal != errKey.Error() {
		t.Errorf("another key: %+v, %v", w, err)
	}
	for name, change := range map[string]func(*tls.Config){
		"no certificate":   func(c *tls.Config) { c.Certificates = nil },
		"an old TLS":       func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 },
		"another protocol": func(c *tls.Config) { c.NextProtos = []string{handshake.ALPNLine} },
		"no protocol":      func(c *tls.Config) { c.NextProtos = nil },
	} {
		certificates, err := ofAlice.Certificate()
		if err != nil {
			t.Fatal(err)
		}
		config := &tls.Config{Certificates: certificates, RootCAs: l.authority.Pool(), ServerName: "relay", NextProtos: []string{handshake.ALPNCarrier}}
		change(config)
		c := tls.Client(l.dialDirect(), config)
		if err = c.Handshake(); err == nil {
			err = handshake.WriteHello(c, &handshake.Hello{Session: "alice", Generation: 1, Secret: secret})
		}
		if err == nil {
			_, err = handshake.ReadWelcome(c)
		}
		var timeout net.Error
		if err == nil || errors.As(err, &timeout) && timeout.Timeout() {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := l.dialDirect()
	io.WriteString(c, "GET /tunnel HTTP/1.1\r\nHost: m\r\nConnection: Upgrade\r\nUpgrade: "+handshake.UpgradeProtocol+"\r\n\r\n")
	if b, err := io.ReadAll(c); bytes.Contains(b, []byte("HTTP")) {
		t.Errorf("HTTP is answered by %q, %v", b, err)
	}
}

// Whatever the session sends as the name that it wants, it believes only the authority that
// the traffic-manager has published, and the traffic-manager's own name.
func TestDirectForgedServer(t *testing.T) {
	l := newLineLab(t)
	foreign, err := pki.Load(t.Context(), fake.NewFakeClient(), system, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		a     handshake.Authority
		valid bool
	}{
		{"the traffic-manager", l.published(""), true},
		{"the traffic-manager behind an Ingress", l.published("direct.example.com"), true},
		{"another authority", handshake.Authority{Roots: foreign.Pool(), Name: "relay"}, false},
		{"another authority behind an Ingress", handshake.Authority{Roots: foreign.Pool(), Name: "relay", Host: "direct.example.com"}, false},
		{"another program of the authority", handshake.Authority{Roots: l.authority.Pool(), Name: "agent", Host: "relay"}, false},
	} {
		_, err := handshake.DialCarrier(t.Context(), l.dialDirect(), ofAlice, c.a)
		var forged *tls.CertificateVerificationError
		if c.valid != (err == nil) || err != nil && !errors.As(err, &forged) {
			t.Errorf("carrier, %s: %v", c.name, err)
		}
		if _, err := handshake.DialOffer(t.Context(), l.dialDirect(), ofAlice, c.a); c.valid != (err == nil) {
			t.Errorf("line, %s: %v", c.name, err)
		}
	}
}

// Agent and session speak with each other on the connection below the TLS that session and
// relay began with, so that the relay's kernel moves the bytes.
func TestDirectLine(t *testing.T) {
	l := newLineLab(t)
	c := l.offered(ofAlice)
	l.serveOn(c)
	l.session.lines.keepalive()
	l.session.lines.keepalive()
	s, err := line.Dial(t.Context(), l.agents, l.agent(quotePod), &quote)
	if err != nil {
		t.Fatal(err)
	}
	if v := flow(t, s, frame.Open{Port: 8080}); v != frame.Accepted {
		t.Fatalf("verdict %v", v)
	}
	sent := bytes.Repeat([]byte("0123456789abcdef"), 256<<10)
	go s.Write(sent)
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(s, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("echo of %d bytes is not the same, %v", len(got), err)
	}
	l.session.cancel()
	s.SetReadDeadline(time.Now().Add(20 * time.Second))
	var timeout net.Error
	if _, err := s.Read(make([]byte, 1)); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("read on a line of an ended session: %v", err)
	}
}

// A session cannot offer lines of another one, even with what that one shares with the relay.
func TestDirectLineOfAnotherSession(t *testing.T) {
	l := newLineLab(t)
	for name, c := range map[string]struct {
		own    *handshake.Identity
		secret handshake.Secret
	}{
		"another key":    {handshake.RandomIdentity(), secret},
		"another secret": {ofAlice, handshake.NewSecret()},
	} {
		for _, d := range []handshake.Direction{handshake.Inbound, handshake.Outbound} {
			if _, _, w := l.offerOn(l.offered(c.own), c.secret, d); w.Refusal != errNoCarrier.Error() {
				t.Errorf("%s, %v: %+v", name, d, w)
			}
		}
	}
	if n := len(l.session.lines.idle); n > 0 {
		t.Errorf("%d idle lines", n)
	}
}

// An idle line whose session has closed it, or says something too early, is given to nobody.
func TestDirectIdleLines(t *testing.T) {
	l := newLineLab(t)
	closed, early := l.offered(ofAlice), l.offered(ofAlice)
	for _, c := range []net.Conn{closed, early} {
		if _, _, w := l.offerOn(c, secret, handshake.Inbound); w.Refusal != "" {
			t.Fatal(w.Refusal)
		}
	}
	idle := waitIdle(t, l, 2)
	closed.Close()
	early.Write([]byte("x"))
	for _, conn := range idle {
		for deadline := time.Now().Add(10 * time.Second); !gone(conn); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the line is taken for idle")
			}
		}
	}
	l.serveOn(l.offered(ofAlice))
	s, err := line.Dial(t.Context(), l.agents, l.agent(quotePod), &quote)
	if err != nil {
		t.Fatal(err)
	}
	if v := flow(t, s, frame.Open{Port: 8080}); v != frame.Accepted {
		t.Errorf("verdict %v", v)
	}
}

// waitIdle returns the connections of the session's idle lines when there are n.
func waitIdle(t *testing.T, l *lineLab, n int) (all []*net.TCPConn) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); len(l.session.lines.idle) < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d idle lines", len(l.session.lines.idle))
		}
	}
	for range n {
		x := <-l.session.lines.idle
		all = append(all, x.conn)
		if err := l.session.lines.offer(x); err != nil {
			t.Fatal(err)
		}
	}
	return all
}
