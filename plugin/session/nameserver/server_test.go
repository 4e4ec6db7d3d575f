package nameserver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
)

func TestAnswers(t *testing.T) {
	w := newWorld(t, nil)
	for _, c := range []struct {
		name, qtype, want string
		to                string // what was asked: "cluster", "laptop", "both" or nothing
	}{
		{"hello.default.svc.cluster.local.", "A", "NOERROR; hello.default.svc.cluster.local. A 10.96.0.7", "cluster"},
		{"Hello.", "A", "NOERROR; Hello. A 10.96.0.7", "cluster"},
		{"quote.", "A", "NOERROR; quote. A 10.96.0.8", "cluster"}, // of the namespace with an intercept
		{"hello.default.", "A", "NOERROR; hello.default. A 10.96.0.7", "cluster"},
		{"hello.default.", "AAAA", "NOERROR", ""},
		{"hello.default.svc.", "A", "NOERROR; hello.default.svc. A 10.96.0.7", "cluster"},
		{"both.shop.", "A", "NOERROR; both.shop. A 10.96.0.9", "cluster"},
		{"both.shop.", "AAAA", "NOERROR; both.shop. AAAA fd00::9", ""},
		{"db-0.db.shop.", "A", "NOERROR; db-0.db.shop. A 10.244.0.5", "cluster"},
		{"_sql._tcp.db.shop.", "SRV", "NOERROR; _sql._tcp.db.shop. SRV 0 100 5432 db-0.db.shop.svc.cluster.local.", "cluster"},
		{"_sql._tcp.db.", "SRV", "NOERROR; _sql._tcp.db. SRV 0 100 5432 db-0.db.shop.svc.cluster.local.", "cluster"},
		{"db.shop.svc.", "TXT", `NOERROR; db.shop.svc. TXT "some text"`, "cluster"},
		{"db.shop.", "MX", "NOERROR; db.shop. MX 10 mail.example.com.", "cluster"},
		{"outside.shop.", "A", "NOERROR; outside.shop. CNAME www.example.com.; www.example.com. A 192.0.2.99", "cluster"},
		{"7.0.96.10.in-addr.arpa.", "PTR", "NOERROR; 7.0.96.10.in-addr.arpa. PTR hello.default.svc.cluster.local.", "cluster"},
		{"1.1.168.192.in-addr.arpa.", "PTR", "NOERROR; 1.1.168.192.in-addr.arpa. PTR router.lan.", "laptop"},
		{"hello.default.default.svc.cluster.local.", "A", "NXDOMAIN", "cluster"}, // made with the search list
		{"nothing.svc.", "A", "NXDOMAIN", "cluster"},
		{"www.example.com.", "A", "NOERROR; www.example.com. A 192.0.2.1", "laptop"},
		{"www.example.org.", "A", "NXDOMAIN", "laptop"},
		{"web.dev.", "A", "NOERROR; web.dev. A 192.0.2.2", "both"}, // dev is a namespace, too
		{"nas.", "A", "NOERROR; nas. A 192.168.1.2", "both"},
		{"com.", "NS", "NOERROR", "laptop"},
		{"db-0.db.", "A", "NXDOMAIN", "laptop"}, // db is no namespace
		{"vault.corp.internal.", "A", "NOERROR; vault.corp.internal. A 10.1.1.1", "cluster"},
		{"x.excluded.svc.", "A", "NOERROR; x.excluded.svc. A 192.0.2.3", "laptop"},
		{"api.example.com.", "A", "NOERROR; api.example.com. CNAME quote.shop.; quote.shop. A 10.96.0.8", "cluster"},
		{"api.example.com.default.svc.cluster.local.", "A",
			"NOERROR; api.example.com.default.svc.cluster.local. CNAME quote.shop.; quote.shop. A 10.96.0.8", "cluster"},
		{"pinned.example.com.", "A", "NOERROR; pinned.example.com. A 203.0.113.4", ""},
		{"pinned.example.com.", "AAAA", "NOERROR", ""},
		{"loop.a.", "A", "SERVFAIL", ""},
		{"localhost.", "A", "NOERROR; localhost. A 127.0.0.1", ""},
		{"any.localhost.", "AAAA", "NOERROR; any.localhost. AAAA ::1", ""},
	} {
		for _, network := range []string{"udp", "tcp"} {
			cluster, laptop := len(w.cluster.queries()), len(w.laptop.queries())
			m := w.lookup(t, network, c.name, c.qtype)
			if got := text(m); got != c.want {
				t.Errorf("%s %s by %s: %s, want %s", c.name, c.qtype, network, got, c.want)
			}
			if !m.RecursionAvailable || !m.RecursionDesired || m.Authoritative || m.Truncated {
				t.Errorf("%s %s: flags of %v", c.name, c.qtype, m.MsgHdr)
			}
			to := ""
			switch toCluster, toLaptop := len(w.cluster.queries()) > cluster, len(w.laptop.queries()) > laptop; {
			case toCluster && toLaptop:
				to = "both"
			case toCluster:
				to = "cluster"
			case toLaptop:
				to = "laptop"
			}
			if network == "udp" && to != c.to || network == "tcp" && to != "" {
				t.Errorf("%s %s by %s: asked %q, want %q", c.name, c.qtype, network, to, c.to)
			}
		}
	}
	for _, q := range w.laptop.queries() {
		if strings.Contains(q, "cluster.local") {
			t.Errorf("the laptop's resolver was asked for %s", q)
		}
	}
	for _, q := range w.cluster.queries() {
		if strings.HasPrefix(q, "www.example") || strings.HasPrefix(q, "com.") {
			t.Errorf("the cluster was asked for %s", q)
		}
	}
}

// The cluster is asked for both address families at once, and once for each.
func TestFamiliesTogether(t *testing.T) {
	w := newWorld(t, nil)
	both := make(chan string, 2)
	w.cluster.behave(func(ctx context.Context, q dns.Question) (*dns.Msg, error) {
		both <- dns.TypeToString[q.Qtype]
		for len(both) < 2 { // neither gets an answer before the other is asked
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(time.Millisecond):
			}
		}
		return nil, nil
	})
	if got := text(lookup(t, "udp", w.addr, "both.shop.", "AAAA")); got != "NOERROR; both.shop. AAAA fd00::9" {
		t.Error(got)
	}
	if got := text(lookup(t, "udp", w.addr, "both.shop.", "A")); got != "NOERROR; both.shop. A 10.96.0.9" {
		t.Error(got)
	}
	if got := w.cluster.queries(); len(got) != 2 {
		t.Errorf("the cluster was asked for %q", got)
	}
}

// The names that the search list makes of one are asked for together.
func TestSearchIsOneRoundTrip(t *testing.T) {
	w := newWorld(t, nil)
	want := []string{"NXDOMAIN", "NXDOMAIN", "NXDOMAIN", "NXDOMAIN"}
	for _, short := range []string{"www.example.org.", "quote.shop."} {
		before := len(w.cluster.queries())
		for i, suffix := range names.New(w.config.Names).SearchList() {
			if got := text(lookup(t, "udp", w.addr, short+suffix+".", "AAAA")); got != want[i] {
				t.Errorf("%s%s: %s, want %s", short, suffix, got, want[i])
			}
			for deadline := time.Now().Add(20 * time.Second); len(w.cluster.queries()) < before+8; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("asked %q", w.cluster.queries()[before:])
				}
			}
		}
		if got := w.cluster.queries()[before:]; len(got) != 8 {
			t.Errorf("asked %q", got)
		}
		want[1] = "NOERROR"
	}
}

// A name with an A record stays usable, whatever the cluster answers for AAAA.
func TestIPv4OnlyCluster(t *testing.T) {
	for name, aaaa := range map[string]func(context.Context) (*dns.Msg, error){
		"NXDOMAIN": func(context.Context) (*dns.Msg, error) {
			return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeNameError}}, nil
		},
		"NOTIMP": func(context.Context) (*dns.Msg, error) {
			return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeNotImplemented}}, nil
		},
		"error":   func(context.Context) (*dns.Msg, error) { return nil, errors.New("broken") },
		"silence": func(ctx context.Context) (*dns.Msg, error) { <-ctx.Done(); return nil, ctx.Err() },
	} {
		for families, cidrs := range map[string][]netip.Prefix{
			"":               nil,
			", asks for one": {netip.MustParsePrefix("10.96.0.0/16")},
		} {
			t.Run(name+families, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, func(c *Config) { c.Names.CIDRs = cidrs })
				ipv4Only(t, w, aaaa, name == "NXDOMAIN")
			})
		}
	}
}

func ipv4Only(t *testing.T, w *world, aaaa func(context.Context) (*dns.Msg, error), denies bool) {
	w.cluster.behave(func(ctx context.Context, q dns.Question) (*dns.Msg, error) {
		if q.Qtype == dns.TypeAAAA {
			return aaaa(ctx)
		}
		return nil, nil
	})
	if got := text(lookup(t, "udp", w.addr, "hello.", "AAAA")); got != "NOERROR" {
		t.Error(got)
	}
	if got := text(lookup(t, "udp", w.addr, "hello.", "A")); got != "NOERROR; hello. A 10.96.0.7" {
		t.Error(got)
	}
	if got := text(lookup(t, "udp", w.addr, "no.svc.", "AAAA")); denies && got != "NXDOMAIN" {
		t.Error(got)
	}
}

// A cluster with one address family is asked for the other one only if a program asks.
func TestOneFamily(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Names.CIDRs = []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")} })
	for _, qtype := range []string{"A", "AAAA"} {
		if got, want := text(lookup(t, "udp", w.addr, "both.shop.", qtype)), "NOERROR; both.shop. "+qtype; !strings.HasPrefix(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got, want := w.cluster.queries(), []string{"both.shop.svc.cluster.local. A", "both.shop.svc.cluster.local. AAAA"}; !slices.Equal(got, want) {
		t.Errorf("the cluster was asked for %q, want %q", got, want)
	}
}

func TestNotConnected(t *testing.T) {
	w := newWorld(t, nil)
	w.cluster.behave(func(context.Context, dns.Question) (*dns.Msg, error) { return nil, errors.New("no carrier") })
	q := new(dns.Msg)
	q.SetQuestion("hello.", dns.TypeA)
	q.SetEdns0(1232, false)
	m := exchange(t, "udp", w.addr, q)
	if m.Rcode != dns.RcodeServerFailure || !strings.Contains(m.String(), "the cluster's name server: no carrier") {
		t.Errorf("answer %v", m)
	}
	if got := text(lookup(t, "udp", w.addr, "web.dev.", "A")); got != "SERVFAIL" {
		t.Errorf("a name that may be the cluster's: %s", got)
	}
	if got := w.laptop.queries(); len(got) > 0 {
		t.Errorf("the laptop's resolver was asked for %q", got)
	}
	if got := text(lookup(t, "udp", w.addr, "www.example.com.", "A")); got != "NOERROR; www.example.com. A 192.0.2.1" {
		t.Errorf("a name of the laptop: %s", got)
	}
	w.cluster.behave(nil)
	if got := text(lookup(t, "udp", w.addr, "hello.", "A")); got != "NOERROR; hello. A 10.96.0.7" {
		t.Errorf("connected again: %s", got)
	}
}

// A query waits for a silent cluster in full only once; the cluster is asked again.
func TestSilentCluster(t *testing.T) {
	w := newWorld(t, nil)
	w.cluster.behave(func(ctx context.Context, q dns.Question) (*dns.Msg, error) { <-ctx.Done(); return nil, ctx.Err() })
	if got := text(lookup(t, "udp", w.addr, "hello.", "A")); got != "SERVFAIL" {
		t.Error(got)
	}
	if !w.server.state.Load().health.silent.Load() {
		t.Error("the cluster counts as well")
	}
	if got := text(lookup(t, "udp", w.addr, "hello.", "A")); got != "SERVFAIL" {
		t.Error(got)
	}
	w.cluster.behave(nil)
	if got := text(lookup(t, "udp", w.addr, "hello.", "A")); got != "NOERROR; hello. A 10.96.0.7" {
		t.Error(got)
	}
	if w.server.state.Load().health.silent.Load() {
		t.Error("the cluster counts as sick")
	}
}

func TestEqualQuestionsAreOne(t *testing.T) {
	w := newWorld(t, nil)
	release := make(chan struct{})
	w.cluster.behave(func(context.Context, dns.Question) (*dns.Msg, error) { <-release; return nil, nil })
	const n = 20
	answers := make(chan string, n)
	for i := range n {
		go func() {
			q := new(dns.Msg)
			q.SetQuestion([]string{"db.shop.svc.", "DB.shop.SVC."}[i%2], dns.TypeTXT)
			m, _, err := (&dns.Client{Timeout: 20 * time.Second}).Exchange(q, w.addr)
			answers <- fmt.Sprint(err, m != nil && len(m.Answer) == 1 && m.Answer[0].Header().Name == q.Question[0].Name)
		}()
	}
	for w.server.Stats().Queries < n {
		time.Sleep(time.Millisecond)
	}
	close(release)
	for range n {
		if got := <-answers; got != "<nil> true" {
			t.Error(got)
		}
	}
	if got := w.cluster.queries(); len(got) != 1 {
		t.Errorf("the cluster was asked for %q", got)
	}
}

func TestTranslation(t *testing.T) {
	real, virtual := netip.MustParseAddr("10.96.0.7"), netip.MustParseAddr("198.18.0.7")
	w := newWorld(t, func(c *Config) {
		c.Names.Translate = func(a netip.Addr) netip.Addr {
			if a == real {
				return virtual
			}
			return a
		}
		c.Names.Restore = func(a netip.Addr) netip.Addr {
			if a == virtual {
				return real
			}
			return a
		}
	})
	w.laptop.add(t, "far.example.com. 30 IN A 10.96.0.7")
	for _, c := range [][3]string{
		{"hello.", "A", "NOERROR; hello. A 198.18.0.7"},
		{"quote.", "A", "NOERROR; quote. A 10.96.0.8"},
		{"far.example.com.", "A", "NOERROR; far.example.com. A 10.96.0.7"}, // the laptop's own
		{"7.0.18.198.in-addr.arpa.", "PTR", "NOERROR; 7.0.18.198.in-addr.arpa. PTR hello.default.svc.cluster.local."},
		{"7.0.96.10.in-addr.arpa.", "PTR", "NXDOMAIN"}, // is of the laptop's network
	} {
		if got := text(lookup(t, "udp", w.addr, c[0], c[1])); got != c[2] {
			t.Errorf("%s: %s, want %s", c[0], got, c[2])
		}
	}
	if slices.Contains(w.cluster.queries(), "7.0.18.198.in-addr.arpa. PTR") {
		t.Error("the cluster was asked for the virtual address")
	}
}

func TestCodesPass(t *testing.T) {
	w := newWorld(t, nil)
	for _, code := range []int{dns.RcodeServerFailure, dns.RcodeRefused, dns.RcodeNotImplemented} {
		fail := func(context.Context, dns.Question) (*dns.Msg, error) {
			return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: code}}, nil
		}
		w.cluster.behave(fail)
		w.laptop.behave(fail)
		for _, name := range []string{"hello.", "www.example.com."} {
			if got := lookup(t, "udp", w.addr, name, "A"); got.Rcode != code {
				t.Errorf("%s: %s, want %s", name, dns.RcodeToString[got.Rcode], dns.RcodeToString[code])
			}
		}
	}
}
