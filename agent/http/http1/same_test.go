package http1

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	nethttp "net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// streams are what a caller may send on one connection.
var streams = []string{
	"GET / HTTP/1.1|Host: a||",
	"GET / HTTP/1.0||",
	"GET /a HTTP/1.1|Host: a||GET /b?c HTTP/1.1|Host: a||HEAD / HTTP/1.1|Host: a||",
	"POST / HTTP/1.1|Host: a|Content-Length: 5||helloGET /after HTTP/1.1|Host: a||",
	"POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked||5|hello|1;x=y|!|0||GET /after HTTP/1.1|Host: a||",
	"POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked|Trailer: X||3|abc|000|X: 1||PUT / HTTP/1.1|Host: a|Content-Length: 0||",
	"PROPFIND /%7Ex HTTP/1.1|hOST: a|X-Fold: 1|  2|X:||",
	"OPTIONS * HTTP/1.1|Host: a||",
	"GET http://a/b HTTP/1.1|Host: a||",
	"GET / HTTP/1.1|Host: a|Connection: close||GET /never HTTP/1.1|Host: a||",
	"GET / HTTP/1.0|Connection: keep-alive||GET / HTTP/1.0||",
	"POST / HTTP/1.1|Host: a|Expect: 100-continue|Content-Length: 2||hiGET / HTTP/1.1|Host: a||",
	"GET /204 HTTP/1.1|Host: a||GET /304 HTTP/1.1|Host: a||GET /long HTTP/1.1|Host: a||",
	"GET / HTTP/1.1|Host: a|Content-Length: 3||bodyGET / HTTP/1.1||",
	"POST /early HTTP/1.1|Host: a|Content-Length: 3||abcGET / HTTP/1.1|Host: a||",
	"",
	"GET / HT",
	"POST / HTTP/1.1|Host: a|Content-Length: 9||cut",
	"POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked||5|he",
}

// talk sends text and returns all that comes back, without dates. It ends its direction
// last.
func talk(t *testing.T, c *net.TCPConn, text string) string {
	t.Helper()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	c.CloseWrite()
	b, err := io.ReadAll(c)
	if err != nil {
		b = fmt.Appendf(b, ", and then %v", err)
	}
	return regexp.MustCompile(`Date: .*\r\n`).ReplaceAllString(string(b), "")
}

// drip is a Stream that reads byte by byte, and is no TCP connection to the kernel.
type drip struct{ tunnel.Stream }

func (d drip) Read(p []byte) (int, error) { return d.Stream.Read(p[:min(len(p), 1)]) }

// through is a connection that is served, after first, by one target.
func through(t *testing.T, addr, first string, drips bool) *net.TCPConn {
	to := &target{addr: addr}
	near, far := tunneltest.Pair(t)
	caller := tunnel.NewTCP(far)
	if drips {
		caller = drip{caller}
		to.wrap = func(s tunnel.Stream) tunnel.Stream { return drip{s} }
	}
	go Serve(t.Context(), caller, []byte(first), &paths{application: to}, slog.New(slog.DiscardHandler))
	return near
}

// TestSameBytes: what a caller sends reaches an application that only listens as it is,
// wherever it is cut.
func TestSameBytes(t *testing.T) {
	heard := make(chan string, 1)
	l := tunneltest.Listen(t, func(c net.Conn) {
		defer c.Close()
		b, _ := io.ReadAll(c)
		heard <- string(b)
	})
	check := func(text string, cut int, drips bool) {
		c := through(t, l.Addr().String(), text[:cut], drips)
		talk(t, c, text[cut:])
		c.Close()
		if text == "" {
			return
		}
		if got := <-heard; got != text {
			t.Fatalf("%q, cut at %d, is heard as %q", text, cut, got)
		}
	}
	for _, text := range streams {
		text = strings.ReplaceAll(text, "|", "\r\n")
		for cut := range len(text) + 1 {
			check(text, cut, false)
		}
		check(text, 0, true)
	}
	for _, tt := range unclear {
		check(strings.ReplaceAll(tt.text, "|", "\r\n"), 0, true)
	}
}

// TestSameAnswers: a server of net/http answers through Serve what it answers without,
// byte by byte.
func TestSameAnswers(t *testing.T) {
	s := &nethttp.Server{Handler: nethttp.HandlerFunc(echo)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	direct := func(text string) string {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return talk(t, c.(*net.TCPConn), text)
	}
	check := func(text, want string, cut int, drips bool) {
		c := through(t, l.Addr().String(), text[:cut], drips)
		defer c.Close()
		if got := talk(t, c, text[cut:]); got != want {
			t.Fatalf("%q, cut at %d, is answered\n%q, not\n%q", text, cut, got, want)
		}
	}
	for _, text := range streams {
		text = strings.ReplaceAll(text, "|", "\r\n")
		want := direct(text)
		if strings.Contains(want, "HTTP/1.1 400") { // the server waits before it closes
			check(text, want, 0, false)
			continue
		}
		for cut := range len(text) + 1 {
			check(text, want, cut, false)
		}
		check(text, want, 0, true)
	}
	t.Run("unclear", func(t *testing.T) {
		for _, tt := range unclear {
			text := strings.ReplaceAll(tt.text, "|", "\r\n")
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				check(text, direct(text), 0, false)
			})
		}
	})
}

// echo answers in several ways what was asked.
func echo(w nethttp.ResponseWriter, r *nethttp.Request) {
	switch r.URL.Path {
	case "/204":
		w.WriteHeader(204)
		return
	case "/304":
		w.WriteHeader(304)
		return
	case "/early":
		io.WriteString(w, "early")
		return
	case "/long":
		io.WriteString(w, strings.Repeat("0123456789", 1<<13))
		return
	}
	b, err := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s %q %v %v %v", r.Method, r.RequestURI, r.Host, b, err, r.Header, r.Trailer)
}

// TestNoneAstray: of many requests on one connection, sent at once, each is answered by
// the target that it is for, in order.
func TestNoneAstray(t *testing.T) {
	to := &paths{others: map[string]http.Decision{}}
	serve := func(name string) *target {
		l := tunneltest.Listen(t, func(c net.Conn) {
			defer c.Close()
			for in := bufio.NewReader(c); ; {
				r, err := nethttp.ReadRequest(in)
				if err != nil {
					return
				}
				b, _ := io.ReadAll(r.Body)
				text := fmt.Sprintf("%s %s %s", name, r.URL.Path, b)
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
			}
		})
		return &target{addr: l.Addr().String()}
	}
	to.application = serve("app")
	for _, name := range []string{"a", "b"} {
		to.others["/"+name] = http.Decision{To: serve(name)}
	}
	near, far := tunneltest.Pair(t)
	go Serve(t.Context(), tunnel.NewTCP(far), nil, to, slog.New(slog.DiscardHandler))
	const requests = 1000
	name := func(i int) string { return []string{"a", "b", "app"}[i*i%7%3] }
	go func() {
		for i := range requests {
			path := fmt.Sprintf("/%s/%d", strings.TrimPrefix(name(i), "app"), i)
			fmt.Fprintf(near, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody", path)
		}
	}()
	near.SetDeadline(time.Now().Add(3 * patience))
	in := bufio.NewReader(near)
	for i := range requests {
		r, err := nethttp.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("response %d: %v", i, err)
		}
		b, _ := io.ReadAll(r.Body)
		if want := fmt.Sprintf("%s /%s/%d body", name(i), strings.TrimPrefix(name(i), "app"), i); string(b) != want {
			t.Fatalf("response %d is %q, not %q", i, b, want)
		}
	}
}
