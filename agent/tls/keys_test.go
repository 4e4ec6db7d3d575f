package tls

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// front is an agent in front of an application, which passes everything on.
type front struct {
	addr string
	keys *Keys
	// said are the answers to "was the connection terminated?": the session, or the
	// reason why not.
	said chan any
}

// newFront serves with the Secrets in two folders.
func newFront(t *testing.T, application string, keys *Keys) *front {
	f := &front{keys: keys, said: make(chan any, 64)}
	dial := func(ctx context.Context) (*net.TCPConn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", application)
		if err != nil {
			return nil, err
		}
		return c.(*net.TCPConn), nil
	}
	l := tunneltest.Listen(t, func(c net.Conn) {
		defer c.Close()
		first := make([]byte, 64) // less than a ClientHello
		n, err := c.Read(first)
		if err != nil {
			return
		}
		s, err := keys.Terminate(t.Context(), c.(*net.TCPConn), first[:n], dial)
		var unserved *UnservedError
		switch {
		case err == nil:
			f.said <- s
			defer s.Close()
			far, err := s.Open(t.Context())
			if err != nil {
				s.Caller.Reset()
				return
			}
			tunnel.Pipe(s.Caller, far, nil)
		case errors.As(err, &unserved):
			f.said <- unserved.Reason
			far, err := dial(t.Context())
			if err != nil {
				return
			}
			far.Write(unserved.Read)
			tunnel.Pipe(tunnel.NewTCP(c.(*net.TCPConn)), tunnel.NewTCP(far), nil)
		default:
			f.said <- err
		}
	})
	f.addr = l.Addr().String()
	return f
}

// app is an application that answers each line with what it knows of its caller.
func app(t *testing.T, cfg *tls.Config) string {
	return tunneltest.Listen(t, func(below net.Conn) {
		c := tls.Server(below, cfg)
		defer c.Close()
		if c.Handshake() != nil {
			return
		}
		state, who := c.ConnectionState(), "nobody"
		if len(state.PeerCertificates) > 0 {
			who = state.PeerCertificates[0].Subject.CommonName
		}
		buf := make([]byte, 64)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			c.Write([]byte(strings.Join([]string{state.ServerName, state.NegotiatedProtocol, who, string(buf[:n])}, "|")))
		}
	}).Addr().String()
}

// ask calls, and returns the application's answer to "x", and whose certificate the
// caller was shown.
func ask(addr string, cfg *tls.Config) (answer, shown string, err error) {
	c, err := tls.Dial("tcp", addr, cfg)
	if err != nil {
		return "", "", err
	}
	defer c.Close()
	shown = c.ConnectionState().PeerCertificates[0].SerialNumber.String()
	if _, err := c.Write([]byte("x")); err != nil {
		return "", shown, err
	}
	buf := make([]byte, 128)
	n, err := c.Read(buf)
	return string(buf[:n]), shown, err
}

// secrets are two mounted Secrets; nil is for one that does not exist.
func secrets(t *testing.T, terminating, originating files) *Keys {
	folder := t.TempDir()
	one, two := filepath.Join(folder, "terminating"), filepath.Join(folder, "originating")
	if terminating != nil {
		mount(t, one, "..1", terminating)
	}
	if originating != nil {
		mount(t, two, "..1", originating)
	}
	k := NewKeys(one, two, tunneltest.Log(t))
	k.terminating.fresh, k.originating.fresh = 0, 0
	return k
}

// What a caller and the application agree on without the agent, they agree on with it.
func TestTransparent(t *testing.T) {
	a := newAuthority(t)
	own, other := a.issue("quote"), a.issue("quote")
	foreign := a.issue("elsewhere")
	both := []string{"h2", "http/1.1"}
	for _, x := range []struct {
		name        string
		secret      files
		application []string
		offers      []string
		version     uint16
		untouched   string // why; empty if the agent takes part
	}{
		{"the application's own key", own.files(nil), both, both, 0, ""},
		{"another key", other.files(nil), both, both, 0, ""},
		{"the application knows less", other.files(nil), both[1:], both, 0, ""},
		{"the caller knows less", other.files(nil), both, both[1:], 0, ""},
		{"only HTTP/2", other.files(nil), both[:1], both[:1], 0, ""},
		{"the caller offers nothing", other.files(nil), both, nil, 0, ""},
		{"the application knows no ALPN", other.files(nil), nil, both, 0, ""},
		{"TLS 1.2", other.files(nil), both, both, tls.VersionTLS12, ""},
		{"other protocols beside", other.files(nil), both, []string{"http/1.0", "http/1.1"}, 0, ""},
		{"another protocol", other.files(nil), []string{"imap"}, []string{"imap"}, 0, "the caller speaks [imap]"},
		{"no Secret", nil, both, both, 0, "the terminating Secret has no key"},
		{"the key of another name", foreign.files(nil), both, both, 0, "not valid for"},
	} {
		t.Run(x.name, func(t *testing.T) {
			application := app(t, &tls.Config{Certificates: []tls.Certificate{own.certificate(t)}, NextProtos: x.application})
			f := newFront(t, application, secrets(t, x.secret, nil))
			caller := &tls.Config{RootCAs: a.pool(), ServerName: "quote", NextProtos: x.offers, MaxVersion: x.version}
			want, real, err := ask(application, caller)
			if err != nil {
				t.Fatal(err)
			}
			got, shown, err := ask(f.addr, caller)
			if err != nil || got != want {
				t.Errorf("answered %q, %v, and %q without the agent", got, err, want)
			}
			switch said := (<-f.said).(type) {
			case *Session:
				if x.untouched != "" || said.ServerName != "quote" || !strings.Contains(got, "|"+said.Protocol+"|") {
					t.Errorf("terminated, with %q and %q", said.ServerName, said.Protocol)
				}
			case string:
				if x.untouched == "" || !strings.Contains(said, x.untouched) || shown != real {
					t.Errorf("untouched: %s", said)
				}
			default:
				t.Error(said)
			}
		})
	}
}

// A caller that accepts the application's certificate although it is for another name
// accepts the same one of the agent.
func TestOwnCertificateHasAnyName(t *testing.T) {
	a := newAuthority(t)
	own := a.issue("localhost")
	application := app(t, &tls.Config{Certificates: []tls.Certificate{own.certificate(t)}})
	f := newFront(t, application, secrets(t, own.files(nil), nil))
	if got, _, err := ask(f.addr, &tls.Config{InsecureSkipVerify: true, ServerName: "quote"}); got != "quote||nobody|x" {
		t.Errorf("answered %q, %v", got, err)
	}
	if said, ok := (<-f.said).(*Session); !ok {
		t.Errorf("untouched: %v", said)
	}
}

// The application sees the originating Secret's certificate if the caller has shown one
// that the terminating Secret's authority has signed. A caller without one is no better
// off than without the agent.
func TestClientCertificates(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	own, agent := a.issue("quote"), a.issue("agent")
	callers := a.issue("caller").certificate(t)
	for _, x := range []struct {
		name                     string
		asks                     tls.ClientAuthType
		terminating, originating files
		caller                   []tls.Certificate
		version                  uint16
		want                     string // what the application knows; empty: the call fails
		terminated               bool
	}{
		{"both legs", tls.RequireAndVerifyClientCert, own.files(a.pem), agent.files(nil), []tls.Certificate{callers}, 0, "agent", true},
		{"both legs, TLS 1.2", tls.RequireAndVerifyClientCert, own.files(a.pem), agent.files(nil), []tls.Certificate{callers}, tls.VersionTLS12, "agent", true},
		{"no certificate of the caller", tls.RequireAndVerifyClientCert, own.files(a.pem), agent.files(nil), nil, 0, "", true},
		{"none where none is needed", tls.VerifyClientCertIfGiven, own.files(a.pem), agent.files(nil), nil, 0, "nobody", true},
		{"one where none is needed", tls.VerifyClientCertIfGiven, own.files(a.pem), agent.files(nil), []tls.Certificate{callers}, 0, "agent", true},
		{"not asked for", tls.NoClientCert, own.files(a.pem), agent.files(nil), []tls.Certificate{callers}, 0, "nobody", true},
		{"no originating Secret", tls.RequireAndVerifyClientCert, own.files(a.pem), nil, []tls.Certificate{callers}, 0, "caller", false},
		{"no authority", tls.RequireAndVerifyClientCert, own.files(nil), agent.files(nil), []tls.Certificate{callers}, 0, "caller", false},
		{"a certificate that the application does not know", tls.RequireAndVerifyClientCert, own.files(a.pem), stranger.issue("agent").files(nil), []tls.Certificate{callers}, 0, "caller", false},
	} {
		t.Run(x.name, func(t *testing.T) {
			application := app(t, &tls.Config{Certificates: []tls.Certificate{own.certificate(t)}, ClientAuth: x.asks, ClientCAs: a.pool()})
			f := newFront(t, application, secrets(t, x.terminating, x.originating))
			got, _, err := ask(f.addr, &tls.Config{RootCAs: a.pool(), ServerName: "quote", Certificates: x.caller, MaxVersion: x.version})
			if want := "quote||" + x.want + "|x"; (err != nil) != (x.want == "") || err == nil && got != want {
				t.Errorf("answered %q, %v, want %q", got, err, want)
			}
			said := <-f.said
			if _, terminated := said.(*Session); terminated != x.terminated {
				t.Errorf("terminated: %t, %T", terminated, said)
			}
		})
	}
	t.Run("a stranger's certificate", func(t *testing.T) {
		application := app(t, &tls.Config{Certificates: []tls.Certificate{own.certificate(t)}, ClientAuth: tls.RequestClientCert})
		f := newFront(t, application, secrets(t, own.files(a.pem), agent.files(nil)))
		if got, _, err := ask(f.addr, &tls.Config{RootCAs: a.pool(), ServerName: "quote",
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				c := stranger.issue("stranger").certificate(t)
				return &c, nil
			}}); err == nil {
			t.Errorf("answered %q", got)
		}
	})
}

// A connection sees the Secret's certificate of its time, without a restart.
func TestRotatedCertificate(t *testing.T) {
	a := newAuthority(t)
	application := app(t, &tls.Config{Certificates: []tls.Certificate{a.issue("quote").certificate(t)}})
	k := secrets(t, a.issue("quote").files(nil), nil)
	f := newFront(t, application, k)
	var serials []string
	for _, version := range []string{"..1", "..2", "..3"} {
		p := a.issue("quote")
		mount(t, k.terminating.folder, version, p.files(nil))
		_, shown, err := ask(f.addr, &tls.Config{RootCAs: a.pool(), ServerName: "quote"})
		if c := p.certificate(t); err != nil || shown != c.Leaf.SerialNumber.String() || slices.Contains(serials, shown) {
			t.Errorf("version %s: shown %s, %v", version, shown, err)
		}
		serials = append(serials, shown)
	}
}

// What is no ClientHello passes with every byte.
func TestNoHello(t *testing.T) {
	got := make(chan string, 1)
	application := tunneltest.Listen(t, func(c net.Conn) {
		buf := make([]byte, 64)
		n, _ := c.Read(buf)
		got <- string(buf[:n])
		c.Close()
	}).Addr().String()
	a := newAuthority(t)
	f := newFront(t, application, secrets(t, a.issue("quote").files(nil), nil))
	c, err := net.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const sent = "\x16\x03\x01\x00\x05\x02\x00\x00\x01\x03"
	c.Write([]byte(sent))
	if b := <-got; b != sent {
		t.Errorf("the application gets %q", b)
	}
}

func FuzzParseHello(f *testing.F) {
	f.Add([]byte("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03"))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		hello, err := ParseHello(b)
		if (hello == nil) == (err == nil) || hello != nil && !Speaks(b) {
			t.Errorf("%v, %v of % x", hello, err, b)
		}
	})
}
