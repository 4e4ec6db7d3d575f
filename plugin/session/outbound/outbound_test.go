package outbound

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
	"net/netip"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/datagram"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/mux"
)

// world is the cluster's end: a name server that knows one Service, whose
// address leads to a server on this machine.
type world struct {
	service netip.AddrPort // what quote.shop listens on
	fake    netip.Addr     // its address in the cluster
	drop    int            // questions that get lost
	proxy   string
	dialer  *Dialer
	brief   bool         // flows of datagrams end after one
	pings   atomic.Int32 // flows of echoes
}

func newWorld(t *testing.T, serve func(net.Conn)) *world {
	t.Helper()
	w := &world{fake: netip.MustParseAddr("10.96.0.7")}
	w.service = netip.MustParseAddrPort(listen(t, serve))
	near, far := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	group := mux.NewGroup(mux.NewBudget(1 << 20))
	done := make(chan struct{}, 2)
	go func() { group.Add(ctx, near, nil); done <- struct{}{} }()
	go func() { mux.Serve(ctx, far, mux.NewBudget(1<<20), w.handle); done <- struct{}{} }()
	d := &Dialer{Session: "s", Group: group}
	w.dialer = d
	p := &Proxy{Dialer: d, Log: slog.New(slog.DiscardHandler), Resolver: &Resolver{Dialer: d, Domain: "cluster.local", Namespace: "shop"},
		Direct: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("the world outside") }}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.proxy = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- p.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		p.Resolver.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
		<-done
		<-done
	})
	for deadline := time.Now().Add(20 * time.Second); group.Len() == 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("the carrier does not come up")
		}
	}
	return w
}

func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return l.Addr().String()
}

func (w *world) handle(_ context.Context, o *frame.Open, in tunnel.Incoming) error {
	if o.Protocol == frame.ICMP && o.Target == w.fake.String() {
		if err := in.Accept(); err != nil {
			return err
		}
		w.pings.Add(1)
		near, far := net.Pipe()
		go echoes(near)
		return in.Join(&framed{far}, nil)
	}
	if o.Target == frame.TargetDNS || o.Protocol == frame.UDP {
		if err := in.Accept(); err != nil {
			return err
		}
		near, far := net.Pipe()
		go w.datagrams(near, o.Target == frame.TargetDNS)
		if len(o.First) > 0 {
			if err := datagram.Write(far, o.First); err != nil {
				return err
			}
		}
		return in.Join(&framed{far}, nil)
	}
	switch o.Target {
	case netip.AddrPortFrom(w.fake, 80).String():
		c, err := net.Dial("tcp", w.service.String())
		if err != nil {
			return frame.ErrRefused
		}
		if err := in.Accept(); err != nil {
			return err
		}
		return in.Join(tunnel.NewTCP(c.(*net.TCPConn)), nil)
	case netip.AddrPortFrom(w.fake, 81).String():
		return frame.ErrRefused
	}
	return &frame.DeniedError{Reason: "10.0.0.1 is out of reach"}
}

// datagrams answers questions, or sends back what it gets.
func (w *world) datagrams(c net.Conn, names bool) {
	buf := make([]byte, datagram.Max)
	for {
		n, err := datagram.Read(c, buf)
		if err != nil {
			return
		}
		answer := buf[:n]
		if names {
			if w.drop > 0 {
				w.drop--
				continue
			}
			q, a := new(dns.Msg), new(dns.Msg)
			if q.Unpack(buf[:n]) != nil {
				return
			}
			a.SetReply(q)
			switch {
			case q.Question[0].Name != "quote.shop.svc.cluster.local.":
				a.Rcode = dns.RcodeNameError
			case q.Question[0].Qtype == dns.TypeA:
				rr, _ := dns.NewRR(fmt.Sprintf("quote.shop.svc.cluster.local. 5 IN A %s", w.fake))
				a.Answer = append(a.Answer, rr)
			}
			answer, _ = a.Pack()
		}
		if datagram.Write(c, answer) != nil {
			return
		}
		if w.brief {
			c.Close()
			return
		}
	}
}

// echoes answers echoes, unless they say not to.
func echoes(c net.Conn) {
	defer c.Close()
	buf := make([]byte, datagram.Max)
	for {
		n, err := datagram.Read(c, buf)
		if err != nil {
			return
		}
		switch _, payload, err := datagram.ParseEcho(buf[:n]); {
		case err != nil || string(payload) == "end":
			return
		case string(payload) == "lost":
		case datagram.Write(c, buf[:n]) != nil:
			return
		}
	}
}

func hello(c net.Conn) {
	defer c.Close()
	q, err := http.ReadRequest(bufio.NewReader(c))
	if err == nil {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%s %s from %s", q.Method, q.URL, q.Host)
	}
}

func TestProxySpeaksBoth(t *testing.T) {
	w := newWorld(t, hello)
	w.drop = 1
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

// Bytes that a program sends together with its CONNECT are not lost, and its
// half-close arrives.
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
	w := newWorld(t, hello)
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
	w := newWorld(t, hello)
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
	w := newWorld(t, hello)
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

func TestCandidates(t *testing.T) {
	r := &Resolver{Domain: "cluster.local", Namespace: "shop"}
	for name, want := range map[string][]string{
		"quote":                         {"quote.shop.svc.cluster.local."},
		"quote.bank":                    {"quote.bank.svc.cluster.local.", "quote.bank.shop.svc.cluster.local."},
		"db-0.db.bank":                  {"db-0.db.bank.svc.cluster.local."},
		"quote.bank.svc":                {"quote.bank.svc.cluster.local."},
		"Quote.bank.svc.Cluster.Local":  {"quote.bank.svc.cluster.local."},
		"quote.bank.svc.cluster.local.": {"quote.bank.svc.cluster.local."},
		"example.com.":                  nil,
		"a.b.example.com":               nil,
		"":                              nil,
		"a..b":                          nil,
	} {
		if got := r.Candidates(name); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", name, got, want)
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
