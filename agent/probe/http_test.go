package probe

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// plain is a probe without headers of its own.
var plain = []*rpc.Probe{{Target: "/healthz"}}

func TestMatchHTTP(t *testing.T) {
	cases := []struct {
		first string
		want  Kind
	}{
		{"", Unknown},
		{"G", Unknown},
		{"GE", Unknown},
		{"GET ", Unknown},
		{"GET /", Unknown},
		{"GET /healthz HTTP/1.1\r\n", Unknown},
		{"GET /healthz HTTP/1.1\r\nHost: a\r\nUser-Agent: kube-probe/1.3", Unknown},
		{"GET /healthz HTTP/1.1\r\nHost: a\r\nUser-Agent: kube-probe/1.36\r\n", Probe},
		{"GET / HTTP/1.1\r\nuser-agent:kube-probe/1.30\r\n\r\n", Probe},
		{"GET / HTTP/1.1\r\nUser-Agent: curl/8 kube-probe/1\r\n", Other},
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\nUser-Agent: kube-probe/1\r\n", Other},
		{"GET / HTTP/2.0\r\nUser-Agent: kube-probe/1\r\n", Other},
		{"GET \r\n", Other},
		{"GET nonsense\r\n\r\n", Other},
		{"GET /ready HTTP/1.1\r\nHost: 10.0.0.1:80\r\nUser-Agent: kube-probe/1.36\r\nAccept: */*\r\n\r\nmore", Probe},
		{"GET /ready HTTP/1.1\r\nHost: 10.0.0.1:80\r\nUser-Agent: curl/8\r\nAccept: */*\r\n\r\n", Other},
		{"GET /stop HTTP/1.1\r\nHost: 10.0.0.1:80\r\nUser-Agent: kube-lifecycle/1.36\r\n", Probe},
		{"POST / HTTP/1.1\r\nUser-Agent: kube-probe/1\r\n", Other},
		{"PRI * HTTP/2.0\r\n", Other},
		{"\x16\x03\x01", Other},
	}
	for _, c := range cases {
		if got := matchHTTP([]byte(c.first), plain); got != c.want {
			t.Errorf("matchHTTP(%q) = %v, want %v", c.first, got, c.want)
		}
	}
}

// FuzzMatchHTTP: what the first bytes have told, more bytes do not change, and
// net/http sees the same User-Agent in what is taken for a probe.
func FuzzMatchHTTP(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: kube-probe/1\r\n\r\n"), 30)
	f.Add([]byte("GET / HTTP/1.0\r\nUser-Agent: curl\r\nUser-Agent: kube-probe/1\r\n\r\n"), 20)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		if n < 0 || n > len(b) {
			return
		}
		all := matchHTTP(b, plain)
		if early := matchHTTP(b[:n], plain); early != Unknown && early != all {
			t.Errorf("%q is %v, and with more %v", b[:n], early, all)
		}
		if r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b))); err == nil && all == Probe && !strings.HasPrefix(r.UserAgent(), "kube-probe/") {
			t.Errorf("%q is a probe of %q", b, r.UserAgent())
		}
	})
}

// A probe with a User-Agent of its own is known by all that the kubelet makes of
// its declaration.
func TestMatchDeclared(t *testing.T) {
	declared := []*rpc.Probe{{Target: "/up?x=1", Headers: []*rpc.Header{{Name: "user-agent", Value: "watchdog/1"}, {Name: "X-Token", Value: " t "}}}}
	const rest = "Accept: */*\r\nX-Token: t\r\nConnection: close\r\n\r\n"
	for _, c := range []struct {
		name, request string
		want          Kind
	}{
		{"the probe", "GET /up?x=1 HTTP/1.1\r\nHost: 10.0.0.1:80\r\nUser-Agent: watchdog/1\r\n" + rest, Probe},
		{"half of it", "GET /up?x=1 HTTP/1.1\r\nHost: 10.0.0.1:80\r\nUser-Agent: watchdog/1\r\nAccept: */*\r\n", Unknown},
		{"another path", "GET /up HTTP/1.1\r\nHost: 10.0.0.1:80\r\nUser-Agent: watchdog/1\r\n" + rest, Other},
		{"where the application led it", "GET /up2 HTTP/1.1\r\nHost: 10.0.0.1:80\r\nUser-Agent: watchdog/1\r\nReferer: http://10.0.0.1:80/up?x=1\r\n" + rest, Probe},
		{"another agent", "GET /up?x=1 HTTP/1.1\r\nHost: 10.0.0.1:80\r\nUser-Agent: curl/8\r\n" + rest, Other},
		{"no token", "GET /up?x=1 HTTP/1.1\r\nHost: 10.0.0.1:80\r\nUser-Agent: watchdog/1\r\nConnection: close\r\n\r\n", Other},
		{"a connection that is kept", "GET /up?x=1 HTTP/1.1\r\nHost: a\r\nUser-Agent: watchdog/1\r\nX-Token: t\r\n\r\n", Other},
		{"more than the kubelet says", "GET /up?x=1 HTTP/1.1\r\nHost: a\r\nUser-Agent: watchdog/1\r\nCookie: c\r\n" + rest, Other},
		{"a probe of another port's declaration", "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: kube-probe/1.36\r\n", Probe},
	} {
		if got := matchHTTP([]byte(c.request), declared); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
