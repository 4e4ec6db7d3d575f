package http1

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net"
	nethttp "net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// FuzzRequest: net/http reads no request differently that is told apart here, and the
// place of a cut changes nothing.
func FuzzRequest(f *testing.F) {
	for _, text := range streams {
		f.Add([]byte(strings.ReplaceAll(text, "|", "\r\n")), 7)
	}
	for _, tt := range unclear {
		f.Add([]byte(strings.ReplaceAll(tt.text, "|", "\r\n")), 20)
	}
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		var whole, parts http.Scan
		size, flaw := whole.End(b)
		if cut = min(max(cut, 0), len(b)); true {
			n, early := parts.End(b[:cut])
			if n == 0 && early == "" {
				n, early = parts.End(b)
			}
			if n != size || early != flaw {
				t.Fatalf("%q ends at %d, %q, and cut at %d at %d, %q", b, size, flaw, cut, n, early)
			}
		}
		if size == 0 || flaw != "" {
			return
		}
		var h http.Head
		h.ParseRequest(b[:size])
		m, flaw := request(&h)
		r, err := nethttp.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
		if flaw != "" || !h.Complete || err != nil {
			return
		}
		length := int64(0)
		switch m.body.kind {
		case sized:
			length = m.body.left
		case chunked:
			length = -1
		}
		if r.Method != string(h.Method) || r.RequestURI != string(h.Target) || r.ContentLength != length || r.Close != m.last {
			t.Errorf("%q is %s %s, %d bytes, last: %t, and for net/http %s %s, %d bytes, last: %t", b,
				h.Method, h.Target, length, m.last, r.Method, r.RequestURI, r.ContentLength, r.Close)
		}
	})
}

// FuzzResponse: net/http finds the end of a response where it is found here.
func FuzzResponse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), false)
	f.Add([]byte("HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), true)
	f.Add([]byte("HTTP/1.0 304 Not Modified\r\nConnection: keep-alive\r\n\r\n"), false)
	f.Add([]byte("HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n"), false)
	f.Fuzz(func(t *testing.T, b []byte, head bool) {
		var s http.Scan
		size, flaw := s.End(b)
		if size == 0 || flaw != "" {
			return
		}
		var h http.Head
		h.ParseResponse(b[:size])
		x, r := exchange{head: head}, &nethttp.Request{Method: "GET"}
		if head {
			r.Method = "HEAD"
		}
		m, flaw := response(&h, &x)
		got, err := nethttp.ReadResponse(bufio.NewReader(bytes.NewReader(b)), r)
		if flaw != "" || err != nil || m.switches {
			return
		}
		length := int64(0)
		switch m.body.kind {
		case sized:
			length = m.body.left
		case chunked, toEnd:
			length = -1
		}
		if want := got.ContentLength; got.StatusCode != h.Status || length != want && got.Body != nethttp.NoBody {
			t.Errorf("%q has status %d and %d bytes, and for net/http %d and %d", b, h.Status, length, got.StatusCode, want)
		}
	})
}

// FuzzChunks: net/http reads the same body, and a cut changes nothing.
func FuzzChunks(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\n\r\n"), 3)
	f.Add([]byte("a;b=\"c;d\"\r\n0123456789\r\n000\r\nX: y\r\n\r\nmore"), 12)
	for _, tt := range unclear {
		if _, body, ok := strings.Cut(tt.text, "||"); ok {
			f.Add([]byte(strings.ReplaceAll(body, "|", "\r\n")), 2)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		var whole, parts chunks
		n, flaw := whole.feed(b)
		cut = min(max(cut, 0), len(b))
		m, early := parts.feed(b[:cut])
		if m == cut && early == "" {
			var k int
			k, early = parts.feed(b[cut:])
			m += k
		}
		if m != n || early != flaw || parts.done() != whole.done() {
			t.Fatalf("%q ends at %d, %q, and cut at %d at %d, %q", b, n, flaw, cut, m, early)
		}
		if !whole.done() {
			return
		}
		if _, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(b[:n]))); err != nil {
			t.Errorf("%q: net/http: %v", b[:n], err)
		}
	})
}

// FuzzServe: whatever a caller sends, an application gets it as it is. The application
// answers nothing, and maybe ends its direction at once.
func FuzzServe(f *testing.F) {
	for _, text := range streams {
		f.Add([]byte(strings.ReplaceAll(text, "|", "\r\n")), 7, true)
	}
	for _, tt := range unclear {
		f.Add([]byte(strings.ReplaceAll(tt.text, "|", "\r\n")), 20, false)
	}
	heard := make(chan []byte, 100)
	var mu sync.Mutex
	ends := false
	l := tunneltest.Listen(f, func(c net.Conn) {
		defer c.Close()
		mu.Lock()
		if ends {
			c.(*net.TCPConn).CloseWrite()
		}
		mu.Unlock()
		b, _ := io.ReadAll(c)
		heard <- b
	})
	f.Fuzz(func(t *testing.T, b []byte, cut int, endsFirst bool) {
		if text := strings.ToLower(string(b)); strings.Contains(text, "upgrade") || strings.Contains(text, "connect") {
			endsFirst = true // the connection waits for the answer
		}
		mu.Lock()
		ends = endsFirst
		mu.Unlock()
		cut = min(max(cut, 0), len(b))
		near, far := tunneltest.Pair(t)
		to := &target{addr: l.Addr().String()}
		go func() {
			near.Write(b[cut:])
			near.CloseWrite()
			io.Copy(io.Discard, near)
			near.Close()
		}()
		err := Serve(t.Context(), tunnel.NewTCP(far), b[:cut], &paths{application: to}, slog.New(slog.DiscardHandler))
		var got []byte
		for range to.opened.Load() {
			got = append(got, <-heard...)
		}
		if err != nil || !bytes.Equal(got, b) {
			t.Errorf("%q, cut at %d, is heard as %q, %v", b, cut, got, err)
		}
	})
}
