package nameserver

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/nameserver/laptopdns"
)

const theAnswer = "NOERROR; www.example.com. A 192.0.2.1"

func good(t *testing.T) *zone { return newZone(t, ".", "www.example.com. 300 IN A 192.0.2.1") }

// failing answers with a code.
func failing(rcode int) dns.Handler {
	return dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) { w.WriteMsg(new(dns.Msg).SetRcode(q, rcode)) })
}

func TestResolversInOrder(t *testing.T) {
	silent := dns.HandlerFunc(func(dns.ResponseWriter, *dns.Msg) {})
	closed, l := sockets(t)
	nobody := netip.MustParseAddrPort(closed.LocalAddr().String())
	closed.Close()
	l.Close()
	// Answers to other questions, before the right one.
	chatter := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		evil, _ := dns.NewRR(q.Question[0].Name + " 300 IN A 192.0.2.66")
		for _, change := range []func(*dns.Msg){
			func(m *dns.Msg) { m.Id++ },
			func(m *dns.Msg) { m.Question[0].Name = "evil.example.com." },
			func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeTXT },
			func(m *dns.Msg) { m.Response = false },
		} {
			m := new(dns.Msg).SetReply(q)
			m.Answer = []dns.RR{evil}
			change(m)
			w.WriteMsg(m)
		}
		w.Write([]byte("no message"))
		good(t).ServeDNS(w, q)
	})
	lower := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) { // forgets the spelling
		q = q.Copy()
		q.Question[0].Name = strings.ToLower(q.Question[0].Name)
		good(t).ServeDNS(w, q)
	})
	old := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) { // knows no EDNS
		if q.IsEdns0() != nil {
			w.WriteMsg(new(dns.Msg).SetRcodeFormatError(q))
			return
		}
		good(t).ServeDNS(w, q)
	})
	for name, c := range map[string]struct {
		resolvers []any
		want      string
	}{
		"none":                 {nil, "SERVFAIL"},
		"nobody":               {[]any{nobody}, "SERVFAIL"},
		"nobody first":         {[]any{nobody, good(t)}, theAnswer},
		"silence":              {[]any{silent}, "SERVFAIL"},
		"silence first":        {[]any{silent, good(t)}, theAnswer},
		"all that fail":        {[]any{failing(dns.RcodeServerFailure), failing(dns.RcodeRefused), silent, nobody, good(t)}, theAnswer},
		"failures only":        {[]any{failing(dns.RcodeServerFailure), nobody}, "SERVFAIL"},
		"refusal only":         {[]any{nobody, failing(dns.RcodeRefused)}, "REFUSED"},
		"no such name is said": {[]any{failing(dns.RcodeNameError), good(t)}, "NXDOMAIN"},
		"forged answers":       {[]any{chatter}, theAnswer},
		"another spelling":     {[]any{lower}, theAnswer},
		"no EDNS":              {[]any{old}, theAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var config Config
			for _, r := range c.resolvers {
				switch r := r.(type) {
				case netip.AddrPort:
					config.Upstream = append(config.Upstream, r)
				case dns.Handler:
					config.Upstream = append(config.Upstream, resolver(t, r))
				}
			}
			if got := text(lookup(t, "udp", serve(t, New(config, quiet())), "www.example.com.", "A")); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// When the laptop's resolver fails for a name without a dot, the cluster's denial is
// the answer.
func TestNamesWithoutADot(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Upstream = []netip.AddrPort{resolver(t, failing(dns.RcodeServerFailure))} })
	for name, want := range map[string]string{"nothing.": "NXDOMAIN", "nothing.dev.": "SERVFAIL", "hello.": "NOERROR; hello. A 10.96.0.7"} {
		if got := text(lookup(t, "udp", w.addr, name, "A")); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// A resolver that does not answer is asked first no longer.
func TestSilentResolverComesLater(t *testing.T) {
	var asked atomic.Int32
	silent := resolver(t, dns.HandlerFunc(func(dns.ResponseWriter, *dns.Msg) { asked.Add(1) }))
	addr := serve(t, New(Config{Upstream: []netip.AddrPort{silent, resolver(t, good(t))}}, quiet()))
	for _, name := range []string{"www.example.com.", "a.example.com.", "b.example.com."} {
		lookup(t, "udp", addr, name, "A")
	}
	if n := asked.Load(); n > 2 {
		t.Errorf("it was asked %d times", n)
	}
}

// The laptop's resolver is this server, by its address and behind a forwarder.
func TestUpstreamLoop(t *testing.T) {
	for _, c := range []struct {
		name   string
		second bool
		want   string
	}{
		{"alone", false, "REFUSED"},
		{"before a good one", true, theAnswer},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := New(Config{}, quiet())
			addr := serve(t, s)
			forward := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
				own := q.Copy()
				own.Id = dns.Id()
				m, err := dns.Exchange(own, addr)
				if err != nil {
					return
				}
				m.Id = q.Id
				w.WriteMsg(m)
			})
			config := Config{Upstream: []netip.AddrPort{netip.MustParseAddrPort(addr), resolver(t, forward)}}
			if c.second {
				config.Upstream = append(config.Upstream, resolver(t, good(t)))
			}
			s.Set(config)
			if got := text(lookup(t, "udp", addr, "www.example.com.", "A")); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if got := s.Stats(); got.Loops == 0 || got.Queries != 1+got.Loops {
				t.Errorf("%+v", got)
			}
		})
	}
}

// A forwarder that changes the spelling hides the loop. There is no storm all the same.
func TestHiddenLoop(t *testing.T) {
	s := New(Config{}, quiet())
	addr := serve(t, s)
	forward := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		own := q.Copy()
		own.Question[0].Name = strings.ToLower(own.Question[0].Name)
		if m, err := dns.Exchange(own, addr); err == nil {
			w.WriteMsg(m)
		}
	})
	s.Set(Config{Upstream: []netip.AddrPort{resolver(t, forward)}})
	if got := text(lookup(t, "udp", addr, "www.example.com.", "A")); got != "SERVFAIL" {
		t.Error(got)
	}
	if got := s.Stats(); got.Queries > 1+laptopdns.Rounds {
		t.Errorf("%+v", got)
	}
}

// forwarder is the name server of a cluster on the laptop. It asks the laptop for names
// that it does not know.
type forwarder struct {
	*zone
	to string
}

func (f forwarder) Exchange(ctx context.Context, q *dns.Msg) (*dns.Msg, error) {
	if strings.HasSuffix(strings.ToLower(q.Question[0].Name), "cluster.local.") {
		return f.zone.Exchange(ctx, q)
	}
	m, _, err := new(dns.Client).ExchangeContext(ctx, q.Copy(), f.to)
	return m, err
}

func TestClusterOnTheLaptop(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Names.Include = []string{"example.com"} })
	c := w.config
	c.Cluster = forwarder{w.cluster, w.addr}
	w.server.Set(c)
	for name, want := range map[string]string{
		"www.example.com.":         theAnswer,  // the cluster wants it from the laptop
		"no.example.com.":          "NXDOMAIN", // as above
		"hello.":                   "NOERROR; hello. A 10.96.0.7",
		"9.9.96.10.in-addr.arpa.":  "NXDOMAIN", // CoreDNS falls through by default
		"hello.default.example.":   "NXDOMAIN",
		"x.default.cluster.local.": "NXDOMAIN",
	} {
		qtype := "A"
		if strings.HasSuffix(name, "arpa.") {
			qtype = "PTR"
		}
		if got := text(w.lookup(t, "udp", name, qtype)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if got := w.server.Stats(); got.Loops != 5 { // A and AAAA twice, PTR
		t.Errorf("%+v", got)
	}
	if !slices.Contains(w.laptop.queries(), "www.example.com. A") {
		t.Error("the laptop's resolver was not asked")
	}
	// Even the resolver that the cluster asks may be the cluster's.
	c.Upstream = []netip.AddrPort{resolver(t, dns.HandlerFunc(func(rw dns.ResponseWriter, q *dns.Msg) {
		m, err := (forwarder{w.cluster, w.addr}).Exchange(context.Background(), q)
		if err == nil {
			rw.WriteMsg(m)
		}
	}))}
	w.server.Set(c)
	for _, name := range []string{"a.example.com.", "a.example.org."} {
		if m := lookup(t, "udp", w.addr, name, "A"); m.Rcode != dns.RcodeRefused {
			t.Errorf("%s: %v", name, m)
		}
	}
}

func TestServeEnds(t *testing.T) {
	s := New(Config{}, quiet())
	packets, l := sockets(t)
	l.Close()
	if err := s.Serve(t.Context(), packets, l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	packets, l = sockets(t)
	if err := s.Serve(ctx, packets, l); err != nil {
		t.Errorf("error %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is open: %v", err)
	}
}
