package handover

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func good() Config {
	return Config{
		MTU:           1500,
		Addresses:     []netip.Prefix{netip.MustParsePrefix("198.18.0.1/30"), netip.MustParsePrefix("fd18::1/126")},
		Routes:        []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12"), netip.MustParsePrefix("fd00:10::/112")},
		KeepReachable: []netip.Addr{netip.MustParseAddr("192.0.2.7")},
		DNS: DNS{Server: netip.MustParseAddr("198.18.0.2"), Search: []string{"shop.svc.cluster.local"},
			Domains: []string{"cluster.local", "svc"}, Ndots: 5},
		AllowConflicting: []netip.Prefix{netip.MustParsePrefix("10.99.0.0/16")},
	}
}

func TestValidate(t *testing.T) {
	tests := map[string]struct {
		spoil func(*Config)
		want  string // part of the error
	}{
		"good":              {func(*Config) {}, ""},
		"no dns":            {func(c *Config) { c.DNS = DNS{} }, ""},
		"dns by route":      {func(c *Config) { c.DNS.Server = netip.MustParseAddr("10.96.0.10") }, ""},
		"mtu":               {func(c *Config) { c.MTU = 576 }, "mtu 576"},
		"no address":        {func(c *Config) { c.Addresses = nil }, "at least one"},
		"loopback address":  {func(c *Config) { c.Addresses[0] = netip.MustParsePrefix("127.0.0.1/8") }, "127.0.0.1/8"},
		"empty address":     {func(c *Config) { c.Addresses[0] = netip.Prefix{} }, "interface can have"},
		"default route":     {func(c *Config) { c.Routes[0] = netip.MustParsePrefix("0.0.0.0/0") }, "everything would go"},
		"default route 6":   {func(c *Config) { c.Routes[1] = netip.MustParsePrefix("::/0") }, "everything would go"},
		"unmasked":          {func(c *Config) { c.Routes[0] = netip.MustParsePrefix("10.96.0.1/12") }, "10.96.0.0/12"},
		"empty route":       {func(c *Config) { c.Routes[0] = netip.Prefix{} }, "write it as a network"},
		"loopback":          {func(c *Config) { c.Routes[0] = netip.MustParsePrefix("127.0.0.0/8") }, "not a network of hosts"},
		"multicast":         {func(c *Config) { c.Routes[0] = netip.MustParsePrefix("224.0.0.0/4") }, "not a network of hosts"},
		"mapped":            {func(c *Config) { c.Routes[1] = netip.MustParsePrefix("::ffff:10.0.0.0/104") }, "not a network of hosts"},
		"empty reachable":   {func(c *Config) { c.KeepReachable[0] = netip.Addr{} }, "keepReachable"},
		"own address":       {func(c *Config) { c.DNS.Server = netip.MustParseAddr("198.18.0.1") }, "TUN's own"},
		"dns elsewhere":     {func(c *Config) { c.DNS.Server = netip.MustParseAddr("8.8.8.8") }, "no route leads to it"},
		"newline in search": {func(c *Config) { c.DNS.Search = []string{"a\nnameserver 192.0.2.1"} }, "not a DNS name"},
		"space in domain":   {func(c *Config) { c.DNS.Domains = []string{"a b"} }, "not a DNS name"},
		"empty domain":      {func(c *Config) { c.DNS.Domains = []string{""} }, "not a DNS name"},
		"ndots":             {func(c *Config) { c.DNS.Ndots = 16 }, "ndots 16"},
		"too many":          {func(c *Config) { c.Routes = make([]netip.Prefix, maxPrefixes) }, "more than"},
	}
	for n, tt := range tests {
		t.Run(n, func(t *testing.T) {
			c := good()
			tt.spoil(&c)
			err := c.Validate()
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestRefusedNamesRouteWhatAndFix(t *testing.T) {
	p := netip.MustParsePrefix
	tests := map[string]Conflict{
		"route 10.0.0.0/8 would cover the API server 10.1.2.3; leave that out with --never-proxy 10.1.2.3/32, or move the cluster's addresses with --virtual-subnet":                                   {ReasonAPIServer, p("10.0.0.0/8"), p("10.1.2.3/32"), ""},
		"route 10.0.0.0/8 would cover the default gateway 10.0.0.1; leave that out with --never-proxy 10.0.0.1/32, or move the cluster's addresses with --virtual-subnet":                              {ReasonGateway, p("10.0.0.0/8"), p("10.0.0.1/32"), "eth0"},
		"route fd00::/8 would cover this machine's DNS server fd00::53; leave that out with --never-proxy fd00::53/128, or move the cluster's addresses with --virtual-subnet":                         {ReasonResolver, p("fd00::/8"), p("fd00::53/128"), ""},
		"route 10.96.0.0/12 would cover 10.100.0.0/16, which this machine reaches through wg0; allow it with --allow-conflicting 10.100.0.0/16, or move the cluster's addresses with --virtual-subnet": {ReasonOverlap, p("10.96.0.0/12"), p("10.100.0.0/16"), "wg0"},
	}
	for want, c := range tests {
		if got := Refuse([]Conflict{c}).Error(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// serve answers one client with what f says.
func serve(t *testing.T, f func(*Conn, *Request) error) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "netd.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		raw, err := l.Accept()
		if err != nil {
			return
		}
		defer raw.Close()
		c, err := Greet(raw.(*net.UnixConn), "1.2.3")
		if err != nil {
			return
		}
		for {
			r, err := c.Receive()
			if err != nil || f(c, r) != nil {
				return
			}
		}
	}()
	return path
}

func dial(t *testing.T, path string) *Client {
	t.Helper()
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestOpenPassesTheFile(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan *Request, 1)
	path := serve(t, func(c *Conn, req *Request) error {
		if req.Op == OpClose {
			return c.Reply(req.ID, nil, nil, nil)
		}
		defer w.Close()
		asked <- req
		return c.Reply(req.ID, &Network{Interface: "intercept0", Offload: true, Resolvers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")}}, w, req.Check())
	})
	c := dial(t, path)
	if c.Release() != "1.2.3" {
		t.Errorf("release %q", c.Release())
	}
	n, tun, err := c.Open(t.Context(), good())
	if err != nil || tun.Device != nil {
		t.Fatal(err, tun)
	}
	if want := good(); !reflect.DeepEqual(*(<-asked).Config, want) {
		t.Errorf("the config arrived changed")
	}
	if n.Interface != "intercept0" || !n.Offload || len(n.Resolvers) != 1 {
		t.Errorf("got %+v", n)
	}
	io.WriteString(tun.File, "packet")
	tun.Close()
	if b, err := io.ReadAll(r); err != nil || string(b) != "packet" {
		t.Errorf("through the descriptor came %q, %v", b, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	<-c.Done()
}

func TestErrorsArrive(t *testing.T) {
	conflict := Conflict{Reason: ReasonOverlap, Route: netip.MustParsePrefix("10.0.0.0/8"), With: netip.MustParsePrefix("10.1.0.0/16"), Device: "wg0"}
	path := serve(t, func(c *Conn, req *Request) error {
		if req.Op == OpUpdate {
			return c.Reply(req.ID, nil, nil, errors.New("no such device"))
		}
		return c.Reply(req.ID, nil, nil, Refuse([]Conflict{conflict}))
	})
	c := dial(t, path)
	var refused *RefusedError
	if _, _, err := c.Open(t.Context(), good()); !errors.As(err, &refused) || refused.Reason != ReasonOverlap || refused.Conflicts[0] != conflict {
		t.Errorf("got %v", err)
	}
	if _, err := c.Update(t.Context(), good()); err == nil || !strings.Contains(err.Error(), "no such device") {
		t.Errorf("got %v", err)
	}
}

func TestGone(t *testing.T) {
	path := serve(t, func(*Conn, *Request) error { return io.EOF })
	c := dial(t, path)
	if _, _, err := c.Open(t.Context(), good()); !errors.Is(err, ErrGone) {
		t.Errorf("got %v, want ErrGone", err)
	}
	<-c.Done()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// TestCancelledOpen: a network that nobody waited for is undone when Close
// returns, so that the next one does not meet it.
func TestCancelledOpen(t *testing.T) {
	asked, undone := make(chan bool), false
	path := serve(t, func(c *Conn, r *Request) error {
		if r.Op == OpOpen {
			asked <- true
			return c.Reply(r.ID, &Network{Packets: "x"}, nil, nil)
		}
		undone = true
		return c.Reply(r.ID, nil, nil, nil)
	})
	c := dial(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := c.Open(ctx, good()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	go func() { <-asked }()
	if err := c.Close(); err != nil || !undone {
		t.Errorf("undone %v, %v", undone, err)
	}
}

func TestVersionsMustMatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "netd.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err == nil {
			read(c, &hello{})
			write(c, hello{Protocol: Protocol + 1, Release: "9.9.9"})
			c.Close()
		}
	}()
	var version *VersionError
	if _, err := Dial(t.Context(), path); !errors.As(err, &version) || !strings.Contains(err.Error(), "9.9.9") {
		t.Errorf("got %v", err)
	}

	here, there := pair(t)
	go write(here, hello{Protocol: Protocol + 1})
	if _, err := Greet(there, "1.2.3"); !errors.As(err, &version) {
		t.Errorf("got %v", err)
	}
	var h hello
	if err := read(here, &h); err != nil || h.Release != "1.2.3" {
		t.Errorf("an old client hears %+v, %v", h, err)
	}
}

func pair(t *testing.T) (*net.UnixConn, *net.UnixConn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a.(*net.UnixConn), b.(*net.UnixConn)
}

// FuzzRequest reads what a client may send: nothing of it may harm netd.
func FuzzRequest(f *testing.F) {
	var b bytes.Buffer
	c := good()
	write(&b, Request{ID: 1, Op: OpOpen, Config: &c})
	f.Add(b.Bytes())
	f.Add([]byte{0, 0, 0, 2, '{', '}'})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Request
		if err := read(bytes.NewReader(b), &r); err != nil || r.Check() != nil || r.Config == nil {
			return
		}
		for _, p := range r.Config.Routes {
			if p.Bits() == 0 || p.Addr().IsLoopback() || p.Addr().IsMulticast() {
				t.Errorf("route %s is accepted", p)
			}
		}
		for _, names := range [][]string{r.Config.DNS.Search, r.Config.DNS.Domains} {
			for _, n := range names {
				if r.Config.DNS.Server.IsValid() && (n == "" || strings.ContainsAny(n, " \n\t#;")) {
					t.Errorf("domain %q is accepted", n)
				}
			}
		}
		var again bytes.Buffer
		if err := write(&again, r); err != nil {
			t.Errorf("cannot be written again: %v", err)
		}
	})
}

func TestDialInside(t *testing.T) {
	path := serve(t, func(c *Conn, r *Request) error {
		switch {
		case r.Op == OpClose:
			return c.Reply(r.ID, nil, nil, nil)
		case r.Dial.Number == 81:
			return c.Reply(r.ID, nil, nil, errors.New("connection refused"))
		}
		here, there := pair(t)
		f, err := there.File()
		if err != nil {
			return err
		}
		defer f.Close()
		there.Close()
		go func() {
			fmt.Fprintf(here, "%s %d", r.Dial.Network, r.Dial.Number)
			here.Close()
		}()
		return c.Reply(r.ID, nil, f, nil)
	})
	c := dial(t, path)
	conn, err := c.DialInside(t.Context(), Port{Network: "tcp", Number: 80})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(conn); err != nil || string(b) != "tcp 80" {
		t.Errorf("through the socket came %q, %v", b, err)
	}
	for _, p := range []Port{{"tcp", 81}, {"sctp", 80}, {"udp", 0}} {
		if _, err := c.DialInside(t.Context(), p); err == nil {
			t.Errorf("%v is dialed", p)
		}
	}
}

// A listener comes over as it is: what connects to it is the client's to accept.
func TestListenInside(t *testing.T) {
	addresses := make(chan string, 2)
	path := serve(t, func(c *Conn, r *Request) error {
		if r.Op == OpClose {
			return c.Reply(r.ID, nil, nil, nil)
		}
		if r.Op != OpListen {
			return fmt.Errorf("asked to %s", r.Op)
		}
		var f *os.File
		if r.Dial.Network == "udp" {
			p, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			defer p.Close()
			addresses <- p.LocalAddr().String()
			if f, err = p.(*net.UDPConn).File(); err != nil {
				return err
			}
		} else {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			defer l.Close()
			addresses <- l.Addr().String()
			if f, err = l.(*net.TCPListener).File(); err != nil {
				return err
			}
		}
		defer f.Close()
		return c.Reply(r.ID, nil, f, nil)
	})
	c := dial(t, path)
	l, err := c.ListenInside(t.Context(), 80)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if at := <-addresses; l.Addr().String() != at {
		t.Errorf("it listens at %s, not %s", l.Addr(), at)
	}
	p, err := c.ListenPacketInside(t.Context(), 53)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if at := <-addresses; p.LocalAddr().String() != at {
		t.Errorf("it receives at %s, not %s", p.LocalAddr(), at)
	}
}

func TestNetdHasNoInside(t *testing.T) {
	for _, op := range []string{OpDial, OpListen} {
		r := Request{Op: op, Dial: &Port{Network: "tcp", Number: 22}}
		if err := r.Check(); err == nil || !strings.Contains(err.Error(), "intercept run") {
			t.Errorf("%s: got %v", op, err)
		}
	}
}
