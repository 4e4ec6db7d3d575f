//go:build linux

package exchange

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/http/corpus"
)

func to(s *httptest.Server) Dial {
	return func(ctx context.Context) (*net.TCPConn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", s.Listener.Addr().String())
		if err != nil {
			return nil, err
		}
		return c.(*net.TCPConn), nil
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func server(t *testing.T, h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// A server does not differ from itself, and a proxy that builds requests anew differs
// from the server.
func TestCompare(t *testing.T) {
	app := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, "the body is cut", http.StatusBadRequest)
			return
		}
		w.Header().Set("X-Length", r.Header.Get("Content-Length"))
		_, _ = w.Write(append([]byte(r.RequestURI+"\n"), body...))
	}))
	at, err := url.Parse(app.URL)
	must(t, err)
	proxied := httputil.NewSingleHostReverseProxy(at)
	proxied.ErrorLog = log.New(io.Discard, "", 0)
	proxy := server(t, proxied)

	k := Caller{Quiet: 100 * time.Millisecond, Limit: 2 * time.Second}
	streams := append(corpus.Good(), corpus.Bad()...)
	known, err := k.Learn(t.Context(), to(app), streams)
	must(t, err)
	again, err := k.Compare(t.Context(), to(app), streams, known)
	must(t, err)
	again, err = k.Confirm(t.Context(), to(app), again)
	must(t, err)
	for _, d := range again {
		t.Errorf("the server differs from itself: %s", d)
	}
	changed, err := k.Compare(t.Context(), to(proxy), corpus.Bad()[:60], known)
	must(t, err)
	if len(changed) == 0 {
		t.Error("the proxy makes no difference")
	}
}

func TestMask(t *testing.T) {
	for answer, want := range map[string]string{
		"HTTP/1.1 200 OK\r\ndate: Sun, 29 Nov 2026\r\nX-Date: 1\r\n\r\nbody": "HTTP/1.1 200 OK\r\ndate: ****************\r\nX-Date: 1\r\n\r\nbody",
		"T: multipart/byteranges; boundary=00a1\r\n\r\n--00a1\r\nX: 1":       "T: multipart/byteranges; boundary=****\r\n\r\n--****\r\nX: 1",
		"HTTP/1.1 101 OK\r\nUpgrade: h2c\r\n\r\n\x00\x00\x09":                "HTTP/1.1 101 OK\r\nUpgrade: h2c\r\n\r\n<frames of HTTP/2>",
	} {
		if got := Mask([]byte(answer)); got != want {
			t.Errorf("masked, %q is %q", answer, got)
		}
	}
}
