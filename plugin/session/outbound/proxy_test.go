package outbound

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/datagram"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// What is not the cluster's, or cannot be, is reached as without a proxy.
func TestDirect(t *testing.T) {
	w := newWorld(t, hello)
	inside := func(a netip.Addr) bool { return netip.MustParsePrefix("10.0.0.0/8").Contains(a) }
	any := func(netip.Addr) bool { return true }
	for _, c := range []struct {
		name   string
		inside func(netip.Addr) bool
		host   string
		gate   bool // open; else the cluster is away
		direct string
	}{
		{"an address of the LAN", inside, "192.168.1.1", true, "tcp 192.168.1.1:81"},
		{"an address of the cluster", inside, "10.96.0.7", true, ""},
		{"an address of the cluster, written as IPv6", inside, "::ffff:10.96.0.7", true, ""},
		{"an address, as long as nothing is known", nil, "192.168.1.1", true, ""},
		{"a name of the world", any, "www.example.com", true, "tcp www.example.com:81"},
		{"a short one", any, "example.com", true, "tcp example.com:81"},
		{"a name of the cluster", any, "quote.shop", true, ""},
		{"the cluster is away: a name of the world", any, "www.example.com", false, "tcp www.example.com:81"},
		{"the cluster is away: a short one", any, "example.com", false, "tcp example.com:81"},
		{"the cluster is away: a Service", any, "quote", false, ""},
		{"the cluster is away: a Service of the namespace", any, "quote.shop", false, ""},
		{"the cluster is away: svc", any, "quote.bank.svc", false, ""},
		{"the cluster is away: its domain", any, "quote.bank.svc.Cluster.local", false, ""},
		{"the cluster is away: an address of the LAN", inside, "192.168.1.1", false, "tcp 192.168.1.1:81"},
	} {
		gate := new(Gate)
		gate.Set(c.gate)
		d := &Dialer{Session: "s", Group: w.dialer.Group, Gate: gate}
		r := &Resolver{Dialer: d, Domain: "cluster.local", Namespace: "shop"}
		direct := ""
		p := &Proxy{Dialer: d, Resolver: r, Inside: c.inside, Log: slog.New(slog.DiscardHandler),
			Direct: func(_ context.Context, network, addr string) (net.Conn, error) {
				direct = network + " " + addr
				return nil, errors.New("the world outside")
			}}
		if _, err := p.dial(t.Context(), frame.TCP, c.host, 81); err == nil || direct != c.direct {
			t.Errorf("%s: dialled %q, %v, want %q", c.name, direct, err, c.direct)
		}
		r.Close()
	}
}

// A namespace that was seen stays one while nobody can be asked: the world may
// have a domain of that name.
func TestKnownNamesAreNotForeign(t *testing.T) {
	w := newWorld(t, hello)
	d := &Dialer{Session: "s", Group: w.dialer.Group, Gate: new(Gate)}
	r := &Resolver{Dialer: d, Domain: "cluster.local", Namespace: "bank"}
	defer r.Close()
	if !r.foreign("other.shop") {
		t.Error("other.shop is the cluster's before anybody has said so")
	}
	for _, name := range []string{"quote.shop", "quote.shop.svc.cluster.local"} {
		if _, err := r.Lookup(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if r.foreign("other.shop") || !r.foreign("nas.local") {
		t.Error("the names that the cluster knew tell nothing of others, or too much")
	}
}

func TestDirectDatagrams(t *testing.T) {
	far, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	p := &Proxy{Inside: func(netip.Addr) bool { return false }, Direct: (&net.Dialer{}).DialContext}
	c, err := p.dial(t.Context(), frame.UDP, "127.0.0.1", uint16(far.LocalAddr().(*net.UDPAddr).Port))
	if err != nil {
		t.Fatal(err)
	}
	near, end := net.Pipe()
	joined := make(chan error, 1)
	go func() { joined <- c.Join(&framed{end}, nil) }()
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
