package proxyserver

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/mux"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/clusterdns"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound/outboundtest"
)

// world is a Cluster and a proxy that leads into it.
type world struct {
	*outboundtest.Cluster
	group *mux.Group
	proxy string // its address
}

func newWorld(t *testing.T, serve func(net.Conn)) *world {
	t.Helper()
	w := &world{Cluster: outboundtest.New(t, serve)}
	w.group = w.Group(t)
	s, c := server(w.group, nil, names.Config{Domain: "cluster.local", Namespace: "shop"})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.proxy = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		c.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return w
}

// server is a Server for which there is no world outside, with what it asks.
func server(group *mux.Group, gate *outbound.Gate, c names.Config) (*Server, *clusterdns.Client) {
	d := &outbound.Dialer{Session: "s", Group: group, Gate: gate}
	client := &clusterdns.Client{Dialer: d}
	return &Server{Dialer: d, DNS: client, Names: func(context.Context) names.Config { return c }, Log: slog.New(slog.DiscardHandler),
		Direct: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("the world outside") }}, client
}

func TestProxySpeaksBoth(t *testing.T) {
	w := newWorld(t, outboundtest.Hello)
	w.Lost = 1
	for _, scheme := range []string{"http", "socks5", "socks5h"} {
		c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
			Proxy: http.ProxyURL(&url.URL{Scheme: scheme, Host: w.proxy})}}
		for _, host := range []string{"quote", "quote.shop", "QUOTE.shop.svc", "quote.shop.svc.cluster.local"} {
			resp, err := c.Get("http://" + host + "/path?q=1")
			if err != nil {
				t.Fatalf("%s, %s: %v", scheme, host, err)
			}
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if want := "GET /path?q=1 from " + host; err != nil || string(b) != want {
				t.Errorf("%s: %q, %v, want %q", scheme, b, err, want)
			}
		}
	}
}

// Bytes that a program sends together with its CONNECT arrive, and so does its
// half-close.
func TestConnectKeepsEarlyBytes(t *testing.T) {
	w := newWorld(t, func(c net.Conn) {
		b, _ := io.ReadAll(c)
		c.Write(bytes.ToUpper(b))
		c.Close()
	})
	c, err := net.Dial("tcp", w.proxy)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "CONNECT quote:80 HTTP/1.1\r\nHost: quote:80\r\n\r\nearly ")
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", resp, err)
	}
	io.WriteString(c, "late")
	c.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(r); err != nil || string(b) != "EARLY LATE" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestHTTPErrors(t *testing.T) {
	w := newWorld(t, outboundtest.Hello)
	for request, want := range map[string]int{
		"CONNECT quote:81 HTTP/1.1\r\nHost: quote:81\r\n\r\n":                http.StatusBadGateway,
		"CONNECT 10.0.0.1:80 HTTP/1.1\r\nHost: 10.0.0.1:80\r\n\r\n":          http.StatusForbidden,
		"CONNECT nothing:80 HTTP/1.1\r\nHost: nothing:80\r\n\r\n":            http.StatusBadGateway,
		"CONNECT quote HTTP/1.1\r\nHost: quote\r\n\r\n":                      http.StatusBadRequest,
		"GET / HTTP/1.1\r\nHost: quote\r\n\r\n":                              http.StatusBadRequest,
		"GET https://quote/ HTTP/1.1\r\nHost: quote\r\n\r\n":                 http.StatusBadRequest,
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 not a request\r\n\r\n": http.StatusBadRequest,
	} {
		c, err := net.Dial("tcp", w.proxy)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, request)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.StatusCode != want {
			t.Errorf("%q: %v, %v, want %d", request, resp, err, want)
		}
		c.Close()
	}
}

func TestSocksErrors(t *testing.T) {
	w := newWorld(t, outboundtest.Hello)
	name := func(s string, port uint16) []byte {
		return binary.BigEndian.AppendUint16(append([]byte{socksName, byte(len(s))}, s...), port)
	}
	for _, c := range []struct {
		name    string
		request []byte
		want    byte
	}{
		{"refused", append([]byte{5, socksConnect, 0}, name("quote", 81)...), replyRefused},
		{"not allowed", []byte{5, socksConnect, 0, socksIPv4, 10, 0, 0, 1, 0, 80}, replyNotAllowed},
		{"BIND", append([]byte{5, 2, 0}, name("quote", 80)...), replyCommand},
		{"address type", []byte{5, socksConnect, 0, 9}, replyAddress},
	} {
		conn, err := net.Dial("tcp", w.proxy)
		if err != nil {
			t.Fatal(err)
		}
		conn.Write(append([]byte{5, 2, 1, 0}, c.request...))
		var b [12]byte
		if _, err := io.ReadFull(conn, b[:]); err != nil || b[1] != socksNoAuth || b[3] != c.want {
			t.Errorf("%s: answer % x, %v, want %d", c.name, b, err, c.want)
		}
		conn.Close()
	}
}

func TestSocksUDP(t *testing.T) {
	w := newWorld(t, outboundtest.Hello)
	c, err := net.Dial("tcp", w.proxy)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte{5, 1, 0, 5, socksAssociate, 0, socksIPv4, 0, 0, 0, 0, 0, 0})
	var greeting [2]byte
	var head [3]byte
	io.ReadFull(c, greeting[:])
	if _, err := io.ReadFull(c, head[:]); err != nil || head[1] != replyOK {
		t.Fatalf("answer % x, %v", head, err)
	}
	host, port, err := readSocksAddress(c)
	if err != nil {
		t.Fatal(err)
	}
	u, err := net.Dial("udp", net.JoinHostPort(host, fmt.Sprint(port)))
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	packet := append(appendSocksHost([]byte{0, 0, 0}, "quote.shop", 5353), "ping"...)
	u.SetReadDeadline(time.Now().Add(20 * time.Second))
	for range 3 {
		if _, err := u.Write(packet); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 1500)
		n, err := u.Read(buf)
		if err != nil || !bytes.Equal(buf[:n], packet) {
			t.Fatalf("answer %q, %v, want %q", buf[:n], err, packet)
		}
	}
}

func FuzzSocks(f *testing.F) {
	f.Add([]byte{5, 1, 0, 3, 5, 'q', 'u', 'o', 't', 'e', 0, 80})
	f.Add([]byte{0, 0, 0, 1, 10, 0, 0, 1, 0, 53, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, host, _, err := readSocksRequest(bytes.NewReader(b)); err == nil && (host == "" || len(host) > 255) {
			t.Fatalf("host %q", host)
		}
		host, port, payload, ok := parseSocksDatagram(b)
		if !ok {
			return
		}
		if !bytes.HasSuffix(b, payload) {
			t.Fatal("the payload is not the packet's end")
		}
		again := append(appendSocksHost([]byte{0, 0, 0}, host, port), payload...)
		h, p, rest, ok := parseSocksDatagram(again)
		if !ok || !strings.EqualFold(h, host) || p != port || !bytes.Equal(rest, payload) {
			t.Fatalf("%q %d became %q %d", host, port, h, p)
		}
	})
}
