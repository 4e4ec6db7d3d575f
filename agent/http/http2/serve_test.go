package http2

import (
	"bytes"
	"fmt"
	"io"
	nethttp "net/http"
	"strings"
	"sync"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
)

func request(t testing.TB, c *nethttp.Client, method string, body io.Reader, fields ...string) (*nethttp.Response, string) {
	t.Helper()
	r, err := nethttp.NewRequestWithContext(t.Context(), method, "http://service/path?a=b", body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Error(err)
		return nil, ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp, string(b)
}

// One connection carries requests to the application and to two laptops: each answer is
// of the server that the request was for.
func TestNoneAstray(t *testing.T) {
	app := &farEnd{address: serve(t, named("app"))}
	l := newLab(t, app)
	laptops := map[string]*farEnd{}
	for _, name := range []string{"a", "b"} {
		laptops[name] = &farEnd{address: serve(t, named(name)), gone: make(chan struct{}), mark: http.Field{Name: "X-Intercept", Value: name}}
		l.set(name, http.Decision{To: laptops[name]})
	}
	c := l.client()
	var wg sync.WaitGroup
	for worker := range 100 {
		wg.Go(func() {
			for k := range 10 {
				to := []string{"app", "a", "b"}[(worker+k)%3]
				id, mark := fmt.Sprintf("%d-%d", worker, k), ""
				if to != "app" {
					mark = to
				}
				body := strings.Repeat(id, 1+k*100)
				resp, got := request(t, c, "POST", strings.NewReader(body), "To", to, "Id", id)
				if resp == nil {
					return
				}
				if h := resp.Header; h.Get("Server-Name") != to || h.Get("Got-Id") != id || got != body || h.Get("X-Intercept") != mark {
					t.Errorf("%s to %s: %v", id, to, h)
				}
			}
		})
	}
	wg.Wait()
	if n := app.arrived.Load() + laptops["a"].arrived.Load() + laptops["b"].arrived.Load(); n != 1000 {
		t.Errorf("%d requests were counted", n)
	}
	for _, e := range []*farEnd{app, laptops["a"], laptops["b"]} {
		if e.opened.Load() != 1 {
			t.Errorf("%d connections", e.opened.Load())
		}
	}
}

// Large bodies pass both ways at once, and are what was sent.
func TestLargeBodies(t *testing.T) {
	l := newLab(t, &farEnd{address: serve(t, named("app"))})
	c := l.client()
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	_, got := request(t, c, "POST", bytes.NewReader(body))
	if got != string(body) {
		t.Errorf("%d bytes of %d came back", len(got), len(body))
	}
}
