//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// http2Only is the set of protocols of HTTP/2 without TLS.
func http2Only() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

// http2Caller calls by HTTP/2 without TLS, over one connection that it keeps.
type http2Caller struct {
	client *http.Client
	addr   string
}

// ask sends a request of alice's and returns the response with its body.
func (c http2Caller) ask(l *lab.Lab, contentType string) (*http.Response, string, error) {
	req, err := http.NewRequestWithContext(l.Context(), http.MethodPost, "http://"+c.addr+"/pkg.Service/Method", strings.NewReader("\x00\x00\x00\x00\x00"))
	if err != nil {
		return nil, "", err
	}
	req.Header = http.Header{"X-User": {"alice"}, "Content-Type": {contentType}}
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

// answered wants an answer.
func (c http2Caller) answered(l *lab.Lab, contentType, want string) error {
	resp, got, err := c.ask(l, contentType)
	if err == nil && got != want {
		err = fmt.Errorf("answered is %s %q %v, not %q", resp.Status, got, resp.Header, want)
	}
	return err
}

// TestLocalHTTP1: requests in HTTP/2 reach a program of HTTP/1.1. gRPC, which cannot, is
// told why. A program of HTTP/2 that takes the other's place has them as they are.
func TestLocalHTTP1(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	alice := l.Laptop("alice")
	program := alice.ServeHTTP1("alice")
	alice.Intercept("add", "quote", "--port", program.To(""), "--match", "x-user=alice")
	caller := http2Caller{&http.Client{Timeout: lab.Patience, Transport: &http.Transport{Protocols: http2Only(), DialContext: l.Nodes[0].Dial}}, quote}
	// A program that is slow to say what it speaks counts as silent for a while.
	translated := func() error { return caller.answered(l, "text/plain", "answered by alice (laptop)\n") }
	l.Until("requests in HTTP/2 come to the program", translated)
	for range 5 {
		l.Must(translated())
	}
	refused := func() {
		t.Helper()
		resp, _, err := caller.ask(l, "application/grpc")
		l.Must(err)
		if m := resp.Header.Get("Grpc-Message"); resp.Header.Get("Grpc-Status") != "12" || !strings.Contains(m, fmt.Sprintf("127.0.0.1:%d", program.Port)) {
			t.Errorf("a call of gRPC gets %s %v", resp.Status, resp.Header)
		}
	}
	refused()
	l.Until("the program is asked again", translated)
	c, err := keep(l, l.Nodes[0], quote)
	l.Must(err)
	defer c.conn.Close()
	if got, err := c.as(people[0]); err != nil || got != "alice" {
		t.Errorf("a caller of HTTP/1.1 is answered by %q, %v", got, err)
	}

	program.Close()
	ln, err := alice.Space.Listen(fmt.Sprintf("127.0.0.1:%d", program.Port))
	l.Must(err)
	next := &http.Server{Protocols: http2Only(), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Proto)
	})}
	defer next.Close()
	go next.Serve(ln)
	l.Until("the other program has the requests", func() error { return caller.answered(l, "text/plain", "HTTP/2.0") })
	l.Must(caller.answered(l, "application/grpc", "HTTP/2.0"))

	alice.Intercept("add", "quote", "--port", program.To(""), "--match", "x-user=alice", "--local-protocol", "http1")
	caller.client.CloseIdleConnections()
	l.Until("the flag is followed", func() error {
		resp, body, err := caller.ask(l, "application/grpc")
		if err == nil && !strings.Contains(resp.Header.Get("Grpc-Message"), "--local-protocol http1") {
			err = fmt.Errorf("answered is %q %v", body, resp.Header)
		}
		caller.client.CloseIdleConnections()
		return err
	})
}
