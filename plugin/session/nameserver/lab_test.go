package nameserver

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
)

// zone is a name server that answers from records in text form, with the right negative
// answers.
type zone struct {
	apex string // of the SOA; "" gives none

	mu      sync.Mutex
	records map[string][]dns.RR
	asked   []string // "name TYPE"
	before  func(ctx context.Context, q dns.Question) (*dns.Msg, error)
}

func newZone(t testing.TB, apex string, records ...string) *zone {
	t.Helper()
	z := &zone{apex: apex, records: map[string][]dns.RR{}}
	z.add(t, records...)
	return z
}

func (z *zone) Exchange(ctx context.Context, q *dns.Msg) (*dns.Msg, error) {
	question := q.Question[0]
	name := strings.ToLower(question.Name)
	z.mu.Lock()
	z.asked = append(z.asked, name+" "+dns.TypeToString[question.Qtype])
	before := z.before
	rrs, known := z.records[name]
	z.mu.Unlock()
	if before != nil {
		if m, err := before(ctx, question); m != nil || err != nil {
			if m != nil {
				m.SetRcode(q, m.Rcode)
			}
			return m, err
		}
	}
	m := new(dns.Msg)
	m.SetReply(q)
	z.mu.Lock()
	defer z.mu.Unlock()
	for i := range z.records { // an empty non-terminal exists
		known = known || strings.HasSuffix(i, "."+name)
	}
	for _, rr := range rrs {
		if rr.Header().Rrtype == question.Qtype || rr.Header().Rrtype == dns.TypeCNAME {
			rr = dns.Copy(rr)
			rr.Header().Name = question.Name
			m.Answer = append(m.Answer, rr)
			if c, ok := rr.(*dns.CNAME); ok && question.Qtype != dns.TypeCNAME {
				m.Answer = append(m.Answer, z.records[c.Target]...)
			}
		}
	}
	if !known {
		m.Rcode = dns.RcodeNameError
	}
	if len(m.Answer) == 0 && z.apex != "" {
		soa, err := dns.NewRR(z.apex + " 30 IN SOA ns.invalid. hostmaster.invalid. 1 7200 1800 86400 20")
		if err != nil {
			return nil, err
		}
		m.Ns = append(m.Ns, soa)
	}
	return m, nil
}

func (z *zone) add(t testing.TB, records ...string) {
	t.Helper()
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		z.records[rr.Header().Name] = append(z.records[rr.Header().Name], rr)
	}
}

// behave sets a function that answers before the records do.
func (z *zone) behave(f func(ctx context.Context, q dns.Question) (*dns.Msg, error)) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.before = f
}

func (z *zone) queries() []string {
	z.mu.Lock()
	defer z.mu.Unlock()
	return append([]string(nil), z.asked...)
}

// ServeDNS makes a resolver of it.
func (z *zone) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	m, err := z.Exchange(context.Background(), q)
	if err != nil {
		return // silence
	}
	if w.RemoteAddr().Network() == "udp" {
		size := 512
		if o := q.IsEdns0(); o != nil {
			size = int(o.UDPSize())
		}
		m.Truncate(size)
	}
	w.WriteMsg(m)
}

// resolver runs a handler on a port of both protocols.
func resolver(t testing.TB, h dns.Handler) netip.AddrPort {
	t.Helper()
	packets, l := sockets(t)
	for _, s := range []*dns.Server{{PacketConn: packets, Handler: h}, {Listener: l, Handler: h}} {
		up := make(chan struct{})
		s.NotifyStartedFunc = func() { close(up) }
		done := make(chan error, 1)
		go func() { done <- s.ActivateAndServe() }()
		<-up
		t.Cleanup(func() { s.Shutdown(); <-done })
	}
	return netip.MustParseAddrPort(packets.LocalAddr().String())
}

// sockets are a datagram socket and a listener on one port.
func sockets(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 50 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		p, err := net.ListenPacket("udp", l.Addr().String())
		if err == nil {
			return p, l
		}
		l.Close()
	}
	t.Fatal("no port is free for both protocols")
	return nil, nil
}

// serve runs a Server and returns where it listens.
func serve(t testing.TB, s *Server) string {
	t.Helper()
	packets, l := sockets(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, packets, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return packets.LocalAddr().String()
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// lookup asks a server for one type; network is "udp" or "tcp".
func lookup(t testing.TB, network, server, name, qtype string) *dns.Msg {
	t.Helper()
	q := new(dns.Msg)
	q.SetQuestion(name, dns.StringToType[qtype])
	return exchange(t, network, server, q)
}

func exchange(t testing.TB, network, server string, q *dns.Msg) *dns.Msg {
	t.Helper()
	m, _, err := (&dns.Client{Net: network, Timeout: 20 * time.Second}).Exchange(q, server)
	if err != nil {
		t.Fatalf("%s: %v", q.Question[0].String(), err)
	}
	return m
}

// text is an answer in one line: the code, and the records without TTLs.
func text(m *dns.Msg) string {
	parts := []string{dns.RcodeToString[m.Rcode]}
	for _, rr := range m.Answer {
		f := strings.Fields(rr.String())
		parts = append(parts, f[0]+" "+strings.Join(f[3:], " "))
	}
	return strings.Join(parts, "; ")
}

// world is a cluster, the laptop's resolver, and a Server between.
type world struct {
	cluster, laptop *zone
	config          Config
	server          *Server
	addr            string
}

func newWorld(t testing.TB, change func(*Config)) *world {
	t.Helper()
	w := &world{
		cluster: newZone(t, "cluster.local.",
			"hello.default.svc.cluster.local. 30 IN A 10.96.0.7",
			"quote.shop.svc.cluster.local. 30 IN A 10.96.0.8",
			"both.shop.svc.cluster.local. 30 IN A 10.96.0.9",
			"both.shop.svc.cluster.local. 30 IN AAAA fd00::9",
			"db.shop.svc.cluster.local. 30 IN A 10.244.0.5",
			"db.shop.svc.cluster.local. 30 IN TXT \"some text\"",
			"db.shop.svc.cluster.local. 30 IN MX 10 mail.example.com.",
			"db-0.db.shop.svc.cluster.local. 30 IN A 10.244.0.5",
			"_sql._tcp.db.shop.svc.cluster.local. 30 IN SRV 0 100 5432 db-0.db.shop.svc.cluster.local.",
			"outside.shop.svc.cluster.local. 30 IN CNAME www.example.com.",
			"www.example.com. 30 IN A 192.0.2.99",
			"zero.default.svc.cluster.local. 0 IN A 10.96.0.10",
			"7.0.96.10.in-addr.arpa. 30 IN PTR hello.default.svc.cluster.local.",
			"vault.corp.internal. 30 IN A 10.1.1.1",
		),
		laptop: newZone(t, ".",
			"www.example.com. 300 IN A 192.0.2.1",
			"web.dev. 300 IN A 192.0.2.2",
			"nas. 300 IN A 192.168.1.2",
			"x.excluded.svc. 300 IN A 192.0.2.3",
			"1.1.168.192.in-addr.arpa. 300 IN PTR router.lan.",
		),
	}
	w.config = Config{Cluster: w.cluster, Upstream: []netip.AddrPort{resolver(t, w.laptop)}, Names: names.Config{Domain: "cluster.local", Namespace: "default",
		Intercepted: []string{"shop"}, Namespaces: []string{"dev", "kube-system"}, Include: []string{".corp.internal"}, Exclude: []string{"excluded.svc"},
		CIDRs:    []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16"), netip.MustParsePrefix("fd00:96::/112")},
		Mappings: map[string]string{"api.example.com": "quote.shop", "pinned.example.com": "203.0.113.4", "loop.a": "loop.b", "loop.b": "loop.a"}}}
	if change != nil {
		change(&w.config)
	}
	w.server = New(w.config, quiet())
	w.addr = serve(t, w.server)
	return w
}

// lookup also waits for the other address family, so that the test can count queries.
func (w *world) lookup(t testing.TB, network, name, qtype string) *dns.Msg {
	t.Helper()
	m := lookup(t, network, w.addr, name, qtype)
	st := w.server.state.Load()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		st.mu.Lock()
		n := len(st.pending) + int(st.background.Load())
		st.mu.Unlock()
		if n == 0 {
			return m
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d questions are still under way", n)
		}
	}
}
