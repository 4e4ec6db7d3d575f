package translator

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// lab is a program of HTTP/1.1 with a caller of HTTP/2 before it.
type lab struct {
	address string
	caller  *http.Client
	doubts  atomic.Int32
	dials   atomic.Int32 // connections to the program
}

func newLab(t *testing.T, address string) *lab {
	return reaching(t, address, func() (net.Conn, error) { return net.Dial("tcp", address) })
}

// reaching is a lab of a program to which connect leads.
func reaching(t *testing.T, address string, connect func() (net.Conn, error)) *lab {
	l := &lab{address: address}
	dial := func(context.Context) (net.Conn, error) {
		l.dials.Add(1)
		return connect()
	}
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: p, DisableCompression: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		first, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		s := New(Program{Address: address, First: first, Dial: dial, Doubt: func() { l.doubts.Add(1) }}, slog.New(slog.DiscardHandler))
		return s.(net.Conn), nil
	}}
	t.Cleanup(transport.CloseIdleConnections)
	l.caller = &http.Client{Transport: transport}
	return l
}

// serving starts a program.
func serving(t *testing.T, h http.HandlerFunc) *lab {
	s := httptest.NewUnstartedServer(h)
	s.Config.DisableGeneralOptionsHandler = true
	s.Start()
	l := newLab(t, s.Listener.Addr().String())
	t.Cleanup(s.Close)
	return l
}

func (l *lab) url(path string) string { return "http://" + l.address + path }

// ask sends a request and returns the response with its body.
func (l *lab) ask(t *testing.T, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := l.caller.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.ProtoMajor != 2 {
		t.Fatal(resp.Proto)
	}
	return resp, string(body)
}

func request(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// TestRequest: the program gets what the caller sent, and the caller what it answered.
func TestRequest(t *testing.T) {
	got := make(chan *http.Request, 1)
	l := serving(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		got <- r
		w.Header()["Date"] = nil
		w.Header()["Content-Type"] = nil
		w.Header().Set("X-Answer", "yes")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprint(w, "short and stout")
	})
	for _, x := range []struct{ method, path, body string }{
		{"GET", "/", ""},
		{"GET", "/a%2Fb/%7e?q=%zz;x&y", ""},
		{"HEAD", "/", ""},
		{"DELETE", "//two/slashes", ""},
		{"OPTIONS", "*", ""},
		{"POST", "/", ""},
		{"POST", "/", "a body"},
		{"BREW", "/pot", "tea"},
	} {
		var body io.Reader
		if x.body != "" {
			body = strings.NewReader(x.body)
		}
		req := request(t, x.method, l.url("/"), body)
		req.Host = "quote.shop"
		if req.URL = (&url.URL{Scheme: "http", Host: l.address, Opaque: x.path}); strings.HasPrefix(x.path, "//") {
			req.URL.Opaque, req.URL.Path = "", x.path
		}
		req.Header = http.Header{"X-Forwarded-For": {"10.0.0.1"}, "Cookie": {"a=b; c=d"}, "User-Agent": nil, "X-Forwarded-Proto": {"https"}}
		resp, answer := l.ask(t, req)
		if want := "short and stout"; resp.StatusCode != http.StatusTeapot || answer != want && x.method != "HEAD" {
			t.Errorf("%s %s: %s %q", x.method, x.path, resp.Status, answer)
		}
		if h := resp.Header; h.Get("X-Answer") != "yes" || h.Values("Date") != nil || h.Values("Content-Type") != nil || h.Get("Content-Length") != "15" {
			t.Errorf("%s %s: %v", x.method, x.path, h)
		}
		r := <-got
		sent, _ := io.ReadAll(r.Body)
		if r.Proto != "HTTP/1.1" || r.Method != x.method || r.RequestURI != x.path || r.Host != "quote.shop" || string(sent) != x.body || r.ContentLength != int64(len(x.body)) {
			t.Errorf("%s %s: the program got %s %s %s %s, %q", x.method, x.path, r.Proto, r.Method, r.Host, r.RequestURI, sent)
		}
		r.Header.Del("Content-Length")
		if want := (http.Header{"X-Forwarded-For": {"10.0.0.1"}, "X-Forwarded-Proto": {"https"}, "Cookie": {"a=b; c=d"}}); fmt.Sprint(r.Header) != fmt.Sprint(want) {
			t.Errorf("%s %s: the program got %v", x.method, x.path, r.Header)
		}
	}
	if l.dials.Load() != 1 {
		t.Errorf("%d connections to the program", l.dials.Load())
	}
}

// TestStreaming: bytes and trailers pass both ways while the request goes on.
func TestStreaming(t *testing.T) {
	l := serving(t, func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		_ = c.EnableFullDuplex()
		w.Header().Set("Trailer", "Announced")
		w.WriteHeader(http.StatusOK)
		c.Flush()
		in := bufio.NewReader(r.Body)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				break
			}
			io.WriteString(w, "echo "+line)
			c.Flush()
		}
		w.Header().Set("Announced", r.Trailer.Get("Sum"))
		w.Header().Set(http.TrailerPrefix+"Surprise", "yes")
	})
	body, out := io.Pipe()
	req := request(t, "POST", l.url("/"), body)
	req.Trailer = http.Header{"Sum": nil}
	resp, err := l.caller.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	for _, word := range []string{"one\n", "two\n", strings.Repeat("x", 100_000) + "\n"} {
		io.WriteString(out, word)
		if got, err := in.ReadString('\n'); err != nil || got != "echo "+word {
			t.Fatalf("%q: %q, %v", word, got, err)
		}
	}
	req.Trailer.Set("Sum", "7")
	out.Close()
	if _, err := in.ReadByte(); err != io.EOF {
		t.Fatal(err)
	}
	if resp.Trailer.Get("Announced") != "7" || resp.Trailer.Get("Surprise") != "yes" {
		t.Errorf("trailers %v", resp.Trailer)
	}
}

func TestInformational(t *testing.T) {
	l := serving(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		io.Copy(w, r.Body)
	})
	req := request(t, "POST", l.url("/"), strings.NewReader("body"))
	req.Header.Set("Expect", "100-continue")
	var hints atomic.Int32
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			if code == http.StatusEarlyHints && h.Get("Link") == "</style.css>" {
				hints.Add(1)
			}
			return nil
		}}))
	if resp, body := l.ask(t, req); body != "body" || hints.Load() != 1 || resp.Header.Get("Link") != "" {
		t.Errorf("%q, %d hints, %v", body, hints.Load(), resp.Header)
	}
}

// TestCancel: a caller that gives up its request ends the program's.
func TestCancel(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan struct{})
	l := serving(t, func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		close(ended)
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-begun
		cancel()
	}()
	resp, err := l.caller.Do(request(t, "GET", l.url("/"), nil).WithContext(ctx))
	if err == nil {
		resp.Body.Close()
	}
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-ended
	if l.doubts.Load() != 0 {
		t.Error("the program was in doubt")
	}
}

// TestTruncated: an answer that the program does not end is reset.
func TestTruncated(t *testing.T) {
	l := serving(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		io.WriteString(w, "half")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	resp, err := l.caller.Do(request(t, "GET", l.url("/"), nil))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil || string(body) != "half" {
		t.Errorf("%q, %v", body, err)
	}
}

// TestParallel: many requests of one connection run at once.
func TestParallel(t *testing.T) {
	const requests = 20
	all := make(chan struct{})
	var n atomic.Int32
	l := serving(t, func(http.ResponseWriter, *http.Request) {
		if n.Add(1) == requests {
			close(all)
		}
		<-all
	})
	errs := make(chan error)
	for range requests {
		req := request(t, "GET", l.url("/"), nil)
		go func() {
			resp, err := l.caller.Do(req)
			if err == nil {
				resp.Body.Close()
			}
			errs <- err
		}()
	}
	for range requests {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
