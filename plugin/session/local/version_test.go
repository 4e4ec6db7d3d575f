package local

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	framing "golang.org/x/net/http2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// program is a web server that says which HTTP it got. Connections counts what it accepted.
type program struct {
	net.Listener
	server      *http.Server
	connections atomic.Int32
}

// run runs a program of the given protocols at an address.
func run(t *testing.T, address string, cfg *tls.Config, set func(*http.Protocols)) *program {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	p := &program{Listener: l, server: &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Proto)
	}), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}}
	set(p.server.Protocols)
	p.server.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			p.connections.Add(1)
		}
	}
	if p.server.TLSConfig = cfg; cfg != nil {
		go p.server.ServeTLS(l, "", "")
	} else {
		go p.server.Serve(l)
	}
	t.Cleanup(func() { p.server.Close() })
	return p
}

// served is a Table with one Intercept of a port.
func served(t *testing.T, at net.Addr, change func(*v1alpha1.InterceptSpec)) *Table {
	table := NewTable(t.Context(), nil, "session", "jane", slog.New(slog.DiscardHandler), func() {})
	i := &v1alpha1.Intercept{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote", UID: "i"},
		Spec: v1alpha1.InterceptSpec{User: "jane", Session: "session", Match: &v1alpha1.Match{},
			Ports: []v1alpha1.InterceptPort{{Protocol: "TCP", LocalHost: "127.0.0.1", LocalPort: int32(at.(*net.TCPAddr).Port)}}}}
	if change != nil {
		change(&i.Spec)
	}
	table.entries[client.ObjectKeyFromObject(i)] = newEntry(i)
	return table
}

// flow is what a caller sees of a flow.
type flow struct{ caller net.Conn }

func (f flow) Accept() error { return nil }

func (f flow) Join(s tunnel.Stream, count tunnel.Count) error {
	return tunnel.Pipe(tunnel.NewTCP(f.caller.(*net.TCPConn)), s, count)
}

// call sends one request in HTTP/2 on a flow of its own. It returns the answer, what
// ends the flow, and the flow's error.
func call(t *testing.T, table *Table, later bool) (answer string, end func(), err error) {
	t.Helper()
	calls := make(chan net.Conn, 1)
	l := tunneltest.Listen(t, func(c net.Conn) { calls <- c })
	done := make(chan error, 1)
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: p, DialContext: func(context.Context, string, string) (net.Conn, error) {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return nil, err
		}
		far := <-calls
		go func() {
			o := &frame.Open{Intercept: "shop/quote", InterceptUID: "i", Port: 80}
			if !later {
				o.First = make([]byte, len(framing.ClientPreface))
				io.ReadFull(far, o.First)
			}
			err := table.Handle(t.Context(), o, flow{far})
			far.Close()
			done <- err
		}()
		return c, nil
	}}
	end = func() {
		transport.CloseIdleConnections()
		<-done
	}
	resp, rerr := (&http.Client{Transport: transport}).Get("http://quote.shop/")
	if rerr != nil {
		return "", func() {}, <-done
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 {
		return resp.Status, end, nil
	}
	return string(body), end, nil
}

func http1(p *http.Protocols) { p.SetHTTP1(true) }
func h2c(p *http.Protocols)   { p.SetUnencryptedHTTP2(true) }
func http2(p *http.Protocols) { p.SetHTTP2(true) }

// TestVersions: a caller of HTTP/2 is answered by programs of both versions.
func TestVersions(t *testing.T) {
	cert := &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}}
	secure := func(s *v1alpha1.InterceptSpec) { s.Ports[0].LocalTLS = true }
	told := func(v v1alpha1.LocalProtocol, match *v1alpha1.Match) func(*v1alpha1.InterceptSpec) {
		return func(s *v1alpha1.InterceptSpec) { s.Ports[0].LocalProtocol, s.Match = v, match }
	}
	for _, x := range []struct {
		name        string
		protocols   func(*http.Protocols)
		cfg         *tls.Config
		change      func(*v1alpha1.InterceptSpec)
		later       bool // the flow has no bytes at its opening
		want        string
		connections int32 // to the program, of two flows one after the other
	}{
		{"HTTP/1.1", http1, nil, nil, false, "HTTP/1.1", 3},
		{"h2c", h2c, nil, nil, false, "HTTP/2.0", 4},
		{"HTTP/1.1 in TLS", http1, cert, secure, false, "HTTP/1.1", 3},
		{"HTTP/2 in TLS", http2, cert, secure, false, "HTTP/2.0", 4},
		{"called HTTP/1.1", http1, nil, told(v1alpha1.LocalHTTP1, nil), false, "HTTP/1.1", 2},
		{"called HTTP/1.1, bytes that come later", http1, nil, told(v1alpha1.LocalHTTP1, nil), true, "HTTP/1.1", 2},
		{"called HTTP/2", h2c, nil, told(v1alpha1.LocalHTTP2, &v1alpha1.Match{}), false, "HTTP/2.0", 2},
		{"every connection", h2c, nil, told("", nil), false, "HTTP/2.0", 2},
	} {
		t.Run(x.name, func(t *testing.T) {
			p := run(t, "127.0.0.1:0", x.cfg, x.protocols)
			table := served(t, p.Addr(), x.change)
			for range 2 {
				got, end, err := call(t, table, x.later)
				if got != x.want || err != nil {
					t.Errorf("%q, %v", got, err)
				}
				end()
			}
			if n := p.connections.Load(); n != x.connections {
				t.Errorf("%d connections, want %d", n, x.connections)
			}
		})
	}
}

// TestAskedOnce: flows at the same time need one question.
func TestAskedOnce(t *testing.T) {
	p := run(t, "127.0.0.1:0", nil, h2c)
	table := served(t, p.Addr(), nil)
	for range 3 {
		got, end, err := call(t, table, false)
		defer end()
		if got != "HTTP/2.0" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if n := p.connections.Load(); n != 4 {
		t.Errorf("%d connections", n)
	}
}

// calls returns a function that makes a call and says what becomes of it: which version of HTTP
// the program was called in, or how the call was refused.
func calls(t *testing.T, table *Table) func(version string, refused error) {
	return func(version string, refused error) {
		t.Helper()
		got, end, err := call(t, table, false)
		if got != version || !errors.Is(err, refused) {
			t.Errorf("%q, %v, want %q, %v", got, err, version, refused)
		}
		end()
	}
}

// TestAnotherVersion: a program that takes another's place is found out.
func TestAnotherVersion(t *testing.T) {
	p := run(t, "127.0.0.1:0", nil, h2c)
	table := served(t, p.Addr(), nil)
	want := calls(t, table)
	want("HTTP/2.0", nil)
	p.server.Close()
	p = run(t, p.Addr().String(), nil, http1)
	want("HTTP/1.1", nil)
	p.server.Close()
	want("", frame.ErrRefused)
	p = run(t, p.Addr().String(), nil, h2c)
	want("HTTP/2.0", nil)
	p.server.Close()
	p = run(t, p.Addr().String(), nil, http1)
	want("HTTP/1.1", nil)
	p.server.Close()
	run(t, p.Addr().String(), nil, h2c)
	want("502 Bad Gateway", nil) // the one that shows it
	want("HTTP/2.0", nil)
}

// TestBegin: what programs make of the beginning of HTTP/2.
func TestBegin(t *testing.T) {
	const settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	for _, x := range []struct {
		name, says string
		want       answer
	}{
		{"SETTINGS", settings, inHTTP2},
		{"SETTINGS that say something", "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64", inHTTP2},
		{"a refusal", "HTTP/1.1 400 Bad Request\r\n\r\n", inHTTP1},
		{"a refusal without a head", "<!DOCTYPE HTML>", inHTTP1},
		{"a few words", "no", inHTTP1},
		{"nothing, and the end", "", inHTTP1},
		{"another frame", "\x00\x00\x00\x06\x00\x00\x00\x00\x00", inHTTP1},
	} {
		l := tunneltest.Listen(t, func(c net.Conn) {
			defer c.Close()
			got := make([]byte, len(framing.ClientPreface)+9)
			if _, err := io.ReadFull(bufio.NewReader(c), got); err != nil || string(got) != framing.ClientPreface+settings {
				t.Errorf("%s: the program got %q, %v", x.name, got, err)
			}
			fmt.Fprint(c, x.says)
		})
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if got := begin(c); got != x.want {
			t.Errorf("%s: %d", x.name, got)
		}
		c.Close()
	}
}
