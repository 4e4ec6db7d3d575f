package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/websocket"

	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
)

// preview is a Gateway to an ingress of a test, and the URL at which visitors see it.
type preview struct {
	*Gateway
	url string
}

// open serves a Gateway in front of an ingress. Whatever the ingress's name is, the
// ingress is there.
func open(t *testing.T, ingress *httptest.Server, change func(*Config)) *preview {
	t.Helper()
	marks, err := MarksOf(match.Conditions{{Part: match.Header, Name: "x-intercept-id", Op: match.Regexp, Value: "7f:quote"}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Ingress: Ingress{Host: "ingress.edge", Port: 80, L5Host: "shop.example.com"}, Marks: marks,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if address != "ingress.edge:80" {
				return nil, fmt.Errorf("%s is dialed", address)
			}
			return (&net.Dialer{}).DialContext(ctx, network, ingress.Listener.Addr().String())
		},
		Cookies: []string{"own"},
		Failed: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway)
		},
		Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	g := New(cfg)
	t.Cleanup(g.Close)
	s := httptest.NewServer(g)
	t.Cleanup(s.Close)
	return &preview{g, s.URL}
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// get sends a request and returns the answer with its body, without following it.
func get(t *testing.T, method, url string, header http.Header) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(r.Header, header)
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// What the ingress gets: the L5 host, the marks, the visitor's request otherwise.
func TestRequest(t *testing.T) {
	seen := make(chan *http.Request, 1)
	ingress := serve(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r })
	p := open(t, ingress, nil)
	resp, _ := get(t, http.MethodPut, p.url+"/a%2Fb?q=1;2&%zz", http.Header{
		"Cookie": {"own=secret; basket=3"}, "Origin": {p.url}, "Referer": {p.url + "/page?x=1"},
		"X-Forwarded-For": {"192.0.2.1"}, "Accept": {"x/y"}, "X-Intercept-Id": {"forged"}})
	r := <-seen
	if r.Method != http.MethodPut || r.RequestURI != "/a%2Fb?q=1;2&%zz" || r.Host != "shop.example.com" {
		t.Errorf("%s %s of %s", r.Method, r.RequestURI, r.Host)
	}
	for name, want := range map[string]string{
		"X-Intercept-Id": "7f:quote", "Baggage": "x-intercept-id=7f:quote", "Cookie": "basket=3; x-intercept-id=7f:quote",
		"Origin": "http://shop.example.com", "Referer": "http://shop.example.com/page?x=1", "Accept": "x/y",
		"X-Forwarded-For": "192.0.2.1, 127.0.0.1", "X-Forwarded-Host": "shop.example.com", "X-Forwarded-Proto": "http",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := resp.Header.Get("X-Robots-Tag"); got != "noindex" {
		t.Errorf("X-Robots-Tag: %q", got)
	}
}

// Applications compare Origin with Host, or with what X-Forwarded-Host and
// X-Forwarded-Proto say. All of them name the L5 host, by the scheme that visitors see, or
// by https if the ingress speaks TLS.
func TestOneOrigin(t *testing.T) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s://%s %s", r.Header.Get("Origin"), r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-Host"), r.Host)
	})
	for _, tt := range []struct {
		visitor, ingress bool // speak TLS
		scheme           string
	}{{false, false, "http"}, {true, false, "https"}, {false, true, "https"}, {true, true, "https"}} {
		ingress := httptest.NewUnstartedServer(answer)
		if tt.ingress {
			ingress.StartTLS()
		} else {
			ingress.Start()
		}
		t.Cleanup(ingress.Close)
		p := open(t, ingress, func(c *Config) { c.TLS, c.Ingress.TLS = tt.visitor, tt.ingress })
		origin := tt.scheme + "://shop.example.com"
		seen := scheme(tt.visitor) + strings.TrimPrefix(p.url, "http")
		if _, body := get(t, http.MethodGet, p.url, http.Header{"Origin": {seen}}); body != origin+" "+origin+" shop.example.com" {
			t.Errorf("%+v: %s", tt, body)
		}
	}
}

// A page of another origin stays one.
func TestForeignOrigin(t *testing.T) {
	ingress := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Header.Get("Origin")) })
	p := open(t, ingress, nil)
	for _, origin := range []string{"null", "http://127.0.0.1:1", "https://elsewhere.example.com"} {
		if _, body := get(t, http.MethodGet, p.url, http.Header{"Origin": {origin}}); body != origin {
			t.Errorf("%s is passed on as %s", origin, body)
		}
	}
}

func TestRedirects(t *testing.T) {
	ingress := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Location"] = []string{r.URL.Query().Get("to")}
		w.WriteHeader(http.StatusFound)
	})
	p := open(t, ingress, nil)
	for to, want := range map[string]string{
		"http://shop.example.com/a?b=c#d":    p.url + "/a?b=c#d",
		"https://shop.example.com/a%2Fb":     p.url + "/a%2Fb",
		"https://SHOP.example.com:443/":      p.url + "/",
		"//shop.example.com/a":               p.url + "/a",
		"/a":                                 "/a",
		"a":                                  "a",
		"https://login.example.com/?to=shop": "https://login.example.com/?to=shop",
	} {
		resp, _ := get(t, http.MethodGet, p.url+"/?to="+url.QueryEscape(to), nil)
		if got := resp.Header.Get("Location"); got != want {
			t.Errorf("%s: %s, want %s", to, got, want)
		}
	}
}

// An ingress that sends every request from http to https would do so without end.
func TestIngressWantsTLS(t *testing.T) {
	ingress := serve(t, func(w http.ResponseWriter, r *http.Request) {
		to := url.URL{Scheme: "https", Host: r.Host, Path: r.URL.Path, RawQuery: r.URL.RawQuery}
		switch r.URL.Path {
		case "/login":
			to.Path = "/"
		case "/check":
			w.Header().Set("Set-Cookie", "checked=1")
		}
		http.Redirect(w, r, to.String(), http.StatusPermanentRedirect)
	})
	p := open(t, ingress, nil)
	for path, want := range map[string]int{"/": http.StatusBadGateway, "/a%20b?c=d": http.StatusBadGateway, "/login": http.StatusPermanentRedirect, "/check": http.StatusPermanentRedirect} {
		resp, body := get(t, http.MethodGet, p.url+path, nil)
		if resp.StatusCode != want || want == http.StatusBadGateway && !strings.Contains(body, "ingress.edge:80 redirects to https: enter at its port for TLS, with --preview-tls") {
			t.Errorf("%s: %s %s", path, resp.Status, body)
		}
	}
	if resp, _ := get(t, http.MethodPost, p.url, nil); resp.StatusCode != http.StatusPermanentRedirect {
		t.Errorf("POST: %s", resp.Status)
	}
}

func TestCookiesOfTheApplication(t *testing.T) {
	for cookie, want := range map[string][2]string{ // without and with TLS
		"a=1; Domain=shop.example.com; Path=/": {"a=1; Path=/", "a=1; Path=/"},
		"a=1;domain=.example.com;HttpOnly":     {"a=1;HttpOnly", "a=1;HttpOnly"},
		"a=1; Secure; SameSite=None":           {"a=1", "a=1; Secure; SameSite=None"},
		"a=1; SameSite=Lax; Max-Age=5":         {"a=1; SameSite=Lax; Max-Age=5", "a=1; SameSite=Lax; Max-Age=5"},
		"__Host-a=1; Path=/; Secure":           {"__Host-a=1; Path=/; Secure", "__Host-a=1; Path=/; Secure"},
		"__secure-a=1; Domain=b; Secure":       {"__secure-a=1; Secure", "__secure-a=1; Secure"},
	} {
		for i, tls := range []bool{false, true} {
			if got := ownCookie(cookie, tls); got != want[i] {
				t.Errorf("%s, TLS %v: %s, want %s", cookie, tls, got, want[i])
			}
		}
	}
}

// An answer arrives in the pieces in which the application sends it.
func TestStream(t *testing.T) {
	more := make(chan struct{})
	ingress := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for n := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", n)
			w.(http.Flusher).Flush()
			<-more
		}
	})
	p := open(t, ingress, nil)
	resp, err := http.Get(p.url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for n := range 3 {
		for lines.Scan() && lines.Text() == "" {
		}
		if want := fmt.Sprintf("data: %d", n); lines.Text() != want {
			t.Fatalf("%q, want %q", lines.Text(), want)
		}
		more <- struct{}{}
	}
}

// dialWebSocket opens a WebSocket through a preview to an ingress that answers each
// message with it.
func dialWebSocket(t *testing.T, tls bool) (*preview, *websocket.Conn) {
	t.Helper()
	echo := websocket.Server{
		Handshake: func(c *websocket.Config, r *http.Request) error {
			if c.Origin, _ = websocket.Origin(c, r); c.Origin == nil || c.Origin.Host != r.Host || r.Header.Get("X-Intercept-Id") == "" {
				return fmt.Errorf("origin %v at %s with %v", c.Origin, r.Host, r.Header)
			}
			return nil
		},
		Handler: func(c *websocket.Conn) { io.Copy(c, c) },
	}
	ingress := httptest.NewUnstartedServer(echo)
	if tls {
		ingress.StartTLS()
	} else {
		ingress.Start()
	}
	t.Cleanup(ingress.Close)
	p := open(t, ingress, func(c *Config) { c.Ingress.TLS = tls })
	c, err := websocket.Dial("ws"+strings.TrimPrefix(p.url, "http")+"/chat", "", p.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return p, c
}

func TestWebSocket(t *testing.T) {
	for _, tls := range []bool{false, true} {
		_, c := dialWebSocket(t, tls)
		for _, text := range []string{"one", "two"} {
			var got string
			if err := websocket.Message.Send(c, text); err != nil {
				t.Fatal(err)
			}
			if err := websocket.Message.Receive(c, &got); err != nil || got != text {
				t.Fatalf("%q, %v", got, err)
			}
		}
	}
}

// What is open ends with the preview.
func TestClose(t *testing.T) {
	p, c := dialWebSocket(t, false)
	p.Close()
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes", n)
	}
	if resp, _ := get(t, http.MethodGet, p.url, nil); resp.StatusCode != http.StatusBadGateway {
		t.Errorf("after the end: %s", resp.Status)
	}
}

// The ingress gets the L5 host as the name in the TLS handshake.
func TestTLS(t *testing.T) {
	ingress := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.TLS.ServerName+" "+r.Host)
	}))
	t.Cleanup(ingress.Close)
	p := open(t, ingress, func(c *Config) { c.Ingress.TLS, c.Ingress.L5Host = true, "shop.example.com:8443" })
	if _, body := get(t, http.MethodGet, p.url, nil); body != "shop.example.com shop.example.com:8443" {
		t.Error(body)
	}
}

// A preview whose ingress leads to the preview ends the loop.
func TestLoop(t *testing.T) {
	var p *preview
	ingress := serve(t, func(w http.ResponseWriter, r *http.Request) { p.ServeHTTP(w, r) })
	p = open(t, ingress, nil)
	if resp, _ := get(t, http.MethodGet, p.url, nil); resp.StatusCode != http.StatusLoopDetected {
		t.Error(resp.Status)
	}
}

func TestNoAnswer(t *testing.T) {
	ingress := serve(t, nil)
	p := open(t, ingress, func(c *Config) { c.Ingress.Port = 81 })
	resp, body := get(t, http.MethodGet, p.url, nil)
	if resp.StatusCode != http.StatusBadGateway || !strings.Contains(body, "ingress.edge:81 is dialed") || resp.Header.Get("X-Robots-Tag") != "noindex" {
		t.Errorf("%s, %v: %s", resp.Status, resp.Header, body)
	}
}
