package translator

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestGRPC: a call is answered in gRPC's way, and the next connection is for whatever
// listens then.
func TestGRPC(t *testing.T) {
	l := serving(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the program got %s", r.URL) })
	for n, kind := range []string{"application/grpc", "application/grpc+proto", "Application/GRPC; charset=x"} {
		req := request(t, "POST", l.url("/pkg.Service/Method"), strings.NewReader("\x00\x00\x00\x00\x00"))
		req.Header.Set("Content-Type", kind)
		resp, body := l.ask(t, req)
		h := resp.Header
		if resp.StatusCode != 200 || h.Get("Content-Type") != "application/grpc" || h.Get("Grpc-Status") != unimplemented || body != "" || h.Values("Content-Length") != nil {
			t.Errorf("%s: %s %v %q", kind, resp.Status, h, body)
		}
		if m := h.Get("Grpc-Message"); !strings.Contains(m, l.address) || !strings.Contains(m, "h2c") || strings.Contains(m, "%") {
			t.Errorf("%s: %s", kind, m)
		}
		if int(l.doubts.Load()) != n+1 {
			t.Errorf("%s: %d doubts", kind, l.doubts.Load())
		}
	}
}

func TestGRPCWeb(t *testing.T) {
	l := serving(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "web") })
	req := request(t, "POST", l.url("/pkg.Service/Method"), nil)
	req.Header.Set("Content-Type", "application/grpc-web+proto")
	if _, body := l.ask(t, req); body != "web" || l.doubts.Load() != 0 {
		t.Errorf("%q, %d doubts", body, l.doubts.Load())
	}
}

func TestConnect(t *testing.T) {
	l := serving(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the program got %s", r.URL) })
	if resp, body := l.ask(t, request(t, "CONNECT", l.url(""), nil)); resp.StatusCode != http.StatusNotImplemented || !strings.Contains(body, l.address) {
		t.Errorf("%s %q", resp.Status, body)
	}
}

func TestWhy(t *testing.T) {
	x := &translator{program: Program{Address: "127.0.0.1:8080", Told: true}}
	if why := x.why("gRPC"); !strings.Contains(why, "--local-protocol http1") || !strings.Contains(why, "127.0.0.1:8080") {
		t.Error(why)
	}
}

// TestPercent: an address may have the zone of an IPv6 address, which has a percent sign.
func TestPercent(t *testing.T) {
	for message, want := range map[string]string{"at [fe80::1%eth0]:80: gRPC~": "at [fe80::1%25eth0]:80: gRPC~", "ü\n": "%C3%BC%0A"} {
		if got := percent(message); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestAnotherProgram: what does not answer in HTTP/1.1 is in doubt, and the connection
// ends.
func TestAnotherProgram(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			c.Write([]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00"))
			c.Read(make([]byte, 1024))
			c.Close()
		}
	}()
	l := newLab(t, listener.Addr().String())
	for n := 1; n <= 2; n++ {
		resp, body := l.ask(t, request(t, "GET", l.url("/"), nil))
		if resp.StatusCode != http.StatusBadGateway || !strings.Contains(body, l.address) || int(l.doubts.Load()) != n {
			t.Errorf("%s %q, %d doubts", resp.Status, body, l.doubts.Load())
		}
		if int(l.dials.Load()) != n {
			t.Errorf("%d connections after %d requests", l.dials.Load(), n)
		}
	}
}
