package tcp

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
)

func TestSniff(t *testing.T) {
	cases := []struct {
		first string
		want  kind
	}{
		{"", unknown},
		{"G", unknown},
		{"GE", unknown},
		{"GET ", unknown},
		{"GET /", unknown},
		{"GET /healthz HTTP/1.1\r\n", unknown},
		{"GET /healthz HTTP/1.1\r\nHost: a\r\nUser-Agent: kube-probe/1.3", unknown},
		{"GET /healthz HTTP/1.1\r\nHost: a\r\nUser-Agent: kube-probe/1.36\r\n", isProbe},
		{"GET / HTTP/1.1\r\nuser-agent:kube-probe/1.30\r\n\r\n", isProbe},
		{"GET / HTTP/1.1\r\nUser-Agent: curl/8 kube-probe/1\r\n", isOther},
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\nUser-Agent: kube-probe/1\r\n", isOther},
		{"GET / HTTP/2.0\r\nUser-Agent: kube-probe/1\r\n", isOther},
		{"GET \r\n", isOther},
		{"GET nonsense\r\n\r\n", isOther},
		{"GET /ready HTTP/1.1\r\nHost: 10.0.0.1:80\r\nUser-Agent: kube-probe/1.36\r\nAccept: */*\r\n\r\nmore", isProbe},
		{"GET /ready HTTP/1.1\r\nHost: 10.0.0.1:80\r\nUser-Agent: curl/8\r\nAccept: */*\r\n\r\n", isOther},
		{"POST / HTTP/1.1\r\nUser-Agent: kube-probe/1\r\n", isOther},
		{"PRI * HTTP/2.0\r\n", isOther},
		{"\x16\x03\x01", isOther},
	}
	for _, c := range cases {
		if got := sniff([]byte(c.first)); got != c.want {
			t.Errorf("sniff(%q) = %v, want %v", c.first, got, c.want)
		}
	}
}

// FuzzSniff: what the first bytes have told, more bytes do not change, and
// net/http sees the same User-Agent in what is taken for a probe.
func FuzzSniff(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: kube-probe/1\r\n\r\n"), 30)
	f.Add([]byte("GET / HTTP/1.0\r\nUser-Agent: curl\r\nUser-Agent: kube-probe/1\r\n\r\n"), 20)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		if n < 0 || n > len(b) {
			return
		}
		all := sniff(b)
		if early := sniff(b[:n]); early != unknown && early != all {
			t.Errorf("%q is %v, and with more %v", b[:n], early, all)
		}
		if r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b))); err == nil && all == isProbe && !strings.HasPrefix(r.UserAgent(), "kube-probe/") {
			t.Errorf("%q is a probe of %q", b, r.UserAgent())
		}
	})
}
