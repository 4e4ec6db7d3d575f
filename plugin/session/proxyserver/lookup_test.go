package proxyserver

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/datagram"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound/outboundtest"
)

// Hosts that are not the cluster's, or cannot be, are reached as without a proxy.
func TestDirect(t *testing.T) {
	w := newWorld(t, outboundtest.Hello)
	inside := func(a netip.Addr) bool { return netip.MustParsePrefix("10.0.0.0/8").Contains(a) }
	any := func(netip.Addr) bool { return true }
	for _, c := range []struct {
		name   string
		inside func(netip.Addr) bool
		host   string
		gate   bool // open; else the cluster is out of reach
		direct string
	}{
		{"an address of the LAN", inside, "192.168.1.1", true, "tcp 192.168.1.1:81"},
		{"an address of the cluster", inside, "10.96.0.7", true, ""},
		{"an address of the cluster, written as IPv6", inside, "::ffff:10.96.0.7", true, ""},
		{"an address, as long as nothing is known", nil, "192.168.1.1", true, ""},
		{"a name of the world", any, "www.example.com", true, "tcp www.example.com:81"},
		{"a short one", any, "example.com", true, "tcp example.com:81"},
		{"a name of the cluster", any, "quote.shop", true, ""},
		{"the cluster is out of reach: a name of the world", any, "www.example.com", false, "tcp www.example.com:81"},
		{"the cluster is out of reach: a short one", any, "example.com", false, "tcp example.com:81"},
		{"the cluster is out of reach: a Service", any, "quote", false, ""},
		{"the cluster is out of reach: a Service of the namespace", any, "quote.shop", false, ""},
		{"the cluster is out of reach: svc", any, "quote.bank.svc", false, ""},
		{"the cluster is out of reach: its domain", any, "quote.bank.svc.Cluster.local", false, ""},
		{"the cluster is out of reach: an address of the LAN", inside, "192.168.1.1", false, "tcp 192.168.1.1:81"},
	} {
		gate := new(outbound.Gate)
		gate.Set(c.gate)
		p, r := server(w.group, gate, names.Config{Domain: "cluster.local", Namespace: "shop"})
		p.Inside = c.inside
		direct := ""
		p.Direct = func(_ context.Context, network, addr string) (net.Conn, error) {
			direct = network + " " + addr
			return nil, errors.New("the world outside")
		}
		if _, err := p.dial(t.Context(), frame.TCP, c.host, 81); err == nil || direct != c.direct {
			t.Errorf("%s: dialed %q, %v, want %q", c.name, direct, err, c.direct)
		}
		r.Close()
	}
}

// What the operator says of names decides which of them go to the cluster.
func TestClientDNS(t *testing.T) {
	w := newWorld(t, outboundtest.Hello)
	w.Names = append(w.Names, "vault.corp.test.", "secret.corp.test.", "api.corp.test.")
	config := names.Config{Domain: "cluster.local", Namespace: "shop", Include: []string{"corp.test"}, Exclude: []string{"secret.corp.test", "bank"},
		Outside: []string{"api.corp.test"}, Mappings: map[string]string{"orders.example.com": "quote.shop", "again.example.com": "orders.example.com",
			"world.example.com": "www.example.com", "inside.example.com": "10.96.0.7", "pinned.example.com": "203.0.113.4", "loop.a": "loop.b", "loop.b": "loop.a"}}
	const service = "10.96.0.7:81"
	for _, c := range []struct {
		host            string
		cluster, direct string // what is dialed there
		asked           string // a name for which the cluster is asked
	}{
		{"orders.example.com", service, "", "quote.shop.svc.cluster.local."},
		{"again.Example.com", service, "", "quote.shop.svc.cluster.local."},
		{"inside.example.com", service, "", ""},
		{"pinned.example.com", "", "tcp 203.0.113.4:81", ""},
		{"world.example.com", "", "tcp www.example.com:81", ""},
		{"example.dev", "", "tcp example.dev:81", "example.dev.svc.cluster.local."},
		{"vault.corp.test", service, "", "vault.corp.test."},
		{"nothing.corp.test", "", "", "nothing.corp.test."},
		{"secret.corp.test", "", "tcp secret.corp.test:81", ""},
		{"quote.bank", "", "tcp quote.bank:81", ""},
		{"api.corp.test", "", "tcp api.corp.test:81", ""},
		{"localhost", "", "tcp localhost:81", ""},
		{"nothing.shop.svc", "", "", "nothing.shop.svc.cluster.local."},
		{"loop.a", "", "", ""},
	} {
		s, client := server(w.group, nil, config)
		s.Inside = netip.MustParsePrefix("10.96.0.0/16").Contains
		direct := ""
		s.Direct = func(_ context.Context, network, addr string) (net.Conn, error) {
			direct = network + " " + addr
			return nil, errors.New("the world outside")
		}
		opened, asked := len(w.Opened()), len(w.Asked())
		if _, err := s.dial(t.Context(), frame.TCP, c.host, 81); err == nil {
			t.Errorf("%s: dialed", c.host)
		}
		client.Close()
		if direct != c.direct {
			t.Errorf("%s: this machine dials %q, want %q", c.host, direct, c.direct)
		}
		if got := strings.Join(w.Opened()[opened:], " "); got != c.cluster {
			t.Errorf("%s: flows to %q, want %q", c.host, got, c.cluster)
		}
		if got := w.Asked()[asked:]; c.asked == "" && len(got) > 0 || c.asked != "" && !slices.Contains(got, c.asked) {
			t.Errorf("%s: the cluster is asked for %q, want %q", c.host, got, c.asked)
		}
	}
}

// A namespace in which the cluster knew a name stays one while the cluster cannot be
// asked, although the world outside may have a domain of that name.
func TestKnownNamesAreNotForeign(t *testing.T) {
	w := newWorld(t, outboundtest.Hello)
	c := names.Config{Domain: "cluster.local", Namespace: "bank"}
	s, r := server(w.group, new(outbound.Gate), c)
	defer r.Close()
	if !s.foreign(c, "other.shop") {
		t.Error("other.shop is the cluster's before anybody has said so")
	}
	for _, name := range []string{"quote.shop", "quote.shop.svc.cluster.local"} {
		if at, err := s.lookup(t.Context(), name); err != nil || len(at.addrs) != 1 {
			t.Fatalf("%s: %v, %v", name, at, err)
		}
	}
	if s.foreign(c, "other.shop") || !s.foreign(c, "nas.local") {
		t.Error("the names that the cluster knew tell nothing of others, or too much")
	}
}

func TestDirectDatagrams(t *testing.T) {
	far, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	p := &Server{Inside: func(netip.Addr) bool { return false }, Direct: (&net.Dialer{}).DialContext}
	c, err := p.dial(t.Context(), frame.UDP, "127.0.0.1", uint16(far.LocalAddr().(*net.UDPAddr).Port))
	if err != nil {
		t.Fatal(err)
	}
	near, end := net.Pipe()
	joined := make(chan error, 1)
	go func() { joined <- c.Join(&outbound.PipeEnd{Conn: end}, nil) }()
	if err := datagram.Write(near, []byte("ping")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, from, err := far.ReadFromUDP(buf)
	if err != nil || string(buf[:n]) != "ping" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	if _, err := far.WriteToUDP([]byte("pong"), from); err != nil {
		t.Fatal(err)
	}
	if n, err = datagram.Read(near, buf); err != nil || string(buf[:n]) != "pong" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	near.Close()
	<-joined // not only when the flow has been idle for long
}
