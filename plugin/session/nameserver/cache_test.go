package nameserver

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/nameserver/wire"
)

// clock is one that a test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func TestTTLs(t *testing.T) {
	c := &clock{t: time.Now()}
	w := newWorld(t, nil)
	w.server = New(w.config, quiet())
	w.server.now = c.now
	w.addr = serve(t, w.server)
	for _, x := range []struct {
		name, qtype string
		after       time.Duration
		ttl         uint32 // of the first record of the answer, or of the SOA
		asked       bool
	}{
		{"hello.", "A", 0, 30, true},
		{"hello.", "A", 29 * time.Second, 1, false},
		{"hello.", "A", time.Second, 30, true},
		{"hello.", "A", -time.Minute, 30, true}, // the clock was set back
		{"hello.", "A", 10 * time.Hour, 30, true},
		{"no.svc.", "A", 0, 30, true},
		{"no.svc.", "A", 19 * time.Second, 11, false},
		{"no.svc.", "A", time.Second, 30, true}, // the SOA's minimum is less than its TTL
		{"zero.", "A", 0, 0, true},
		{"zero.", "A", 0, 0, true},
		{"nas.", "A", 0, 20, true}, // bound by the cluster's "no"
		{"nas.", "A", 19 * time.Second, 1, false},
		{"nas.", "A", time.Second, 20, true},
		{"nothing.dev.", "A", 0, 20, true},
		{"nothing.dev.", "A", 20 * time.Second, 20, true},
		{"www.example.com.", "A", 0, 300, true},
		{"www.example.com.", "A", 299 * time.Second, 1, false},
		{"www.example.com.", "A", time.Second, 300, true},
	} {
		c.add(x.after)
		before := len(w.cluster.queries()) + len(w.laptop.queries())
		m := w.lookup(t, "udp", x.name, x.qtype)
		rrs := append(m.Answer, m.Ns...)
		if len(rrs) == 0 || rrs[0].Header().Ttl != x.ttl {
			t.Errorf("%s after %s: %v, want a TTL of %d", x.name, x.after, m, x.ttl)
		}
		if asked := len(w.cluster.queries())+len(w.laptop.queries()) > before; asked != x.asked {
			t.Errorf("%s after %s: asked %v, want %v", x.name, x.after, asked, x.asked)
		}
	}
}

// A negative answer without an SOA is not kept (RFC 2308 5).
func TestNoSOA(t *testing.T) {
	w := newWorld(t, nil)
	w.cluster.mu.Lock()
	w.cluster.apex = ""
	w.cluster.mu.Unlock()
	for range 2 {
		if got := text(lookup(t, "udp", w.addr, "no.svc.", "TXT")); got != "NXDOMAIN" {
			t.Error(got)
		}
	}
	if got := w.cluster.queries(); len(got) != 2 {
		t.Errorf("asked %q", got)
	}
}

func TestSet(t *testing.T) {
	w := newWorld(t, nil)
	ask := func(name, want string, asks bool) {
		t.Helper()
		before := len(w.cluster.queries()) + len(w.laptop.queries())
		if got := text(w.lookup(t, "udp", name, "A")); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		if asked := len(w.cluster.queries())+len(w.laptop.queries()) > before; asked != asks {
			t.Errorf("%s: somebody was asked: %v", name, asked)
		}
	}
	ask("hello.svc.", "NXDOMAIN", true)
	ask("hello.", "NOERROR; hello. A 10.96.0.7", true)
	ask("hello.default.", "NOERROR; hello.default. A 10.96.0.7", true)
	ask("www.example.com.", "NOERROR; www.example.com. A 192.0.2.1", true)
	ask("db.bank.", "NXDOMAIN", true)

	c := w.config
	c.Names.Namespaces = append(slices.Clone(c.Names.Namespaces), "bank")
	w.cluster.add(t, "db.bank.svc.cluster.local. 30 IN A 10.96.1.1")
	w.server.Set(c)
	ask("db.bank.", "NOERROR; db.bank. A 10.96.1.1", true) // it is asked elsewhere now
	ask("hello.", "NOERROR; hello. A 10.96.0.7", false)    // this one is not
	ask("www.example.com.", "NOERROR; www.example.com. A 192.0.2.1", false)

	c.Names.Intercepted = nil
	w.server.Set(c)
	ask("quote.", "NXDOMAIN", true)
	ask("hello.default.", "NOERROR; hello.default. A 10.96.0.7", false)

	c.Names.Namespace = "shop"
	w.server.Set(c)
	ask("hello.", "NXDOMAIN", true)
	ask("quote.", "NOERROR; quote. A 10.96.0.8", true)
	ask("www.example.com.", "NOERROR; www.example.com. A 192.0.2.1", true)

	c.Names.Translate = func(a netip.Addr) netip.Addr { return netip.MustParseAddr("198.18.0.1") }
	w.server.Set(c)
	ask("quote.", "NOERROR; quote. A 198.18.0.1", true)
}

// entryOf is an entry whose answer takes so many bytes.
func entryOf(t *testing.T, size int) *entry {
	t.Helper()
	q := wire.Question{Name: ".", Type: dns.TypeNULL}
	head := dns.RR_Header{Name: q.Name, Rrtype: q.Type, Class: dns.ClassINET, Ttl: 3600}
	a, err := wire.Pack(q, &dns.Msg{Answer: []dns.RR{&dns.NULL{Hdr: head}}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	filler := strings.Repeat("x", size-a.Size())
	if a, err = wire.Pack(q, &dns.Msg{Answer: []dns.RR{&dns.NULL{Hdr: head, Data: filler}}}, time.Now()); err != nil || a.Size() != size {
		t.Fatalf("%d bytes, %v", a.Size(), err)
	}
	return &entry{answer: a}
}

func TestCacheIsBounded(t *testing.T) {
	add := func(c *cache, i, size int) {
		c.put(fmt.Sprint(i), entryOf(t, size))
	}
	c := newCache(10, 1<<20)
	for i := range 10 {
		add(c, i, 100)
	}
	c.get([]byte("0"), time.Now())
	add(c, 10, 100)
	if e, _ := c.get([]byte("1"), time.Now()); e != nil || c.len() != 10 {
		t.Errorf("%d entries, that not used for longest: %v", c.len(), e)
	}
	if e, _ := c.get([]byte("0"), time.Now()); e == nil {
		t.Error("the entry that was used is gone")
	}
	c = newCache(1000, 10_000)
	for i := range 1000 {
		add(c, i%20, 900)
		if c.bytes > c.maxB || c.len() > 8 {
			t.Fatalf("%d bytes, %d entries", c.bytes, c.len())
		}
	}
	for i := range 20 {
		add(c, i, 20_000) // more than there is room for
	}
	if c.bytes != 0 || c.len() != 0 {
		t.Errorf("%d bytes, %d entries", c.bytes, c.len())
	}
}
