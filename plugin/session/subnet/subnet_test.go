package subnet

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func prefixes(text string) []netip.Prefix {
	var list []netip.Prefix
	for _, f := range strings.Fields(text) {
		list = append(list, netip.MustParsePrefix(f))
	}
	return list
}

func TestMake(t *testing.T) {
	const virtual = "198.18.0.0/16"
	for _, c := range []struct {
		name                            string
		cluster, also, never            string
		server, taken, allowed          string
		routes, clashing, virtual, fail string
	}{
		{name: "as it comes", cluster: "10.96.0.0/12 10.244.0.0/24 10.244.1.0/24", routes: "10.96.0.0/12 10.244.0.0/23"},
		{name: "both families", cluster: "10.96.0.0/12 fd00::/108", also: "172.20.0.0/16", routes: "10.96.0.0/12 172.20.0.0/16 fd00::/108"},
		{name: "never", cluster: "10.0.0.0/30", never: "10.0.0.1/32", routes: "10.0.0.0/32 10.0.0.2/31"},
		{name: "the API server is in a pod network", cluster: "10.0.0.0/30", server: "10.0.0.2", routes: "10.0.0.0/31 10.0.0.3/32"},
		{name: "a VPN covers the pods", cluster: "10.96.0.0/12 192.168.0.0/24", taken: "10.0.0.0/8", virtual: virtual,
			routes: "192.168.0.0/24 198.18.0.0/16", clashing: "10.96.0.0/12"},
		{name: "a VPN is more specific", cluster: "10.244.0.0/16", taken: "10.244.128.0/17", virtual: virtual,
			routes: "10.244.0.0/17 198.18.0.0/16", clashing: "10.244.128.0/17"},
		{name: "allowed", cluster: "10.244.0.0/16", taken: "10.244.128.0/17", allowed: "10.244.0.0/16", virtual: virtual, routes: "10.244.0.0/16"},
		{name: "elsewhere", cluster: "10.244.0.0/16", taken: "172.16.0.0/12", virtual: virtual, routes: "10.244.0.0/16"},
		{name: "no virtual subnet", cluster: "10.244.0.0/16", taken: "10.244.128.0/17", fail: "10.244.128.0/17 is used on this machine already"},
		{name: "everything", also: "0.0.0.0/0", fail: "0.0.0.0/0 would lead everything into the cluster"},
	} {
		w := Wanted{Cluster: prefixes(c.cluster), Also: prefixes(c.also), Never: prefixes(c.never), Taken: prefixes(c.taken), Allowed: prefixes(c.allowed)}
		if c.server != "" {
			w.Servers = []netip.Addr{netip.MustParseAddr(c.server)}
		}
		if c.virtual != "" {
			w.Virtual = netip.MustParsePrefix(c.virtual)
		}
		p, err := Make(w)
		if c.fail != "" {
			if err == nil || !strings.Contains(err.Error(), c.fail) {
				t.Errorf("%s: %v, want %q", c.name, err, c.fail)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if !slices.Equal(p.Routes, prefixes(c.routes)) || !slices.Equal(p.Clashing, prefixes(c.clashing)) {
			t.Errorf("%s: routes %v, clashing %v", c.name, p.Routes, p.Clashing)
		}
	}
}

func TestTranslator(t *testing.T) {
	tr := NewTranslator(netip.MustParsePrefix("198.18.0.0/27"))
	addr := netip.MustParseAddr
	first := tr.Virtual(addr("10.244.0.7"))
	if !netip.MustParsePrefix("198.18.0.16/28").Contains(first) || tr.Virtual(addr("10.244.0.7")) != first || tr.Virtual(addr("::ffff:10.244.0.7")) != first {
		t.Errorf("10.244.0.7 became %s", first)
	}
	if real, ok := tr.Real(first); !ok || real != addr("10.244.0.7") {
		t.Errorf("%s stands for %s", first, real)
	}
	if _, ok := tr.Real(addr("198.18.0.15")); ok {
		t.Error("an address that was not given away stands for something")
	}
	if real, ok := tr.Real(addr("10.244.1.1")); !ok || real != addr("10.244.1.1") {
		t.Errorf("a real address stands for %s", real)
	}
	if got := tr.Virtual(addr("fd00::1")); got.IsValid() {
		t.Errorf("an IPv6 address became %s", got)
	}
	for i := range 40 {
		tr.Virtual(netip.AddrFrom4([4]byte{10, 244, 0, byte(100 + i)}))
	}
	if len(tr.to) != 16 || tr.Virtual(addr("10.244.0.99")).IsValid() {
		t.Errorf("%d addresses of 16 are given away", len(tr.to))
	}
}

// An address keeps its virtual one whatever is looked up before it, in the next
// session as well; of two that want the same, one is moved aside.
func TestTranslatorIsStable(t *testing.T) {
	virtual := netip.MustParsePrefix("198.18.0.0/16")
	forth, back := NewTranslator(virtual), NewTranslator(virtual)
	var pods []netip.Addr
	for i := range 200 {
		pods = append(pods, netip.AddrFrom4([4]byte{10, 244, byte(i / 100), byte(i)}))
	}
	for _, p := range pods {
		forth.Virtual(p)
	}
	slices.Reverse(pods)
	same := 0
	for _, p := range pods {
		v := back.Virtual(p)
		if v == forth.Virtual(p) {
			same++
		}
		if real, ok := back.Real(v); !ok || real != p || !virtual.Contains(v) || v.Less(netip.MustParseAddr("198.18.0.16")) {
			t.Errorf("%s became %s, which is %s", p, v, real)
		}
	}
	if same < len(pods)-4 {
		t.Errorf("%d of %d addresses are the same", same, len(pods))
	}
	if v := NewTranslator(netip.MustParsePrefix("198.18.0.0/28")).Virtual(pods[0]); v.IsValid() {
		t.Errorf("%s is one of those that are not given away", v)
	}
}

// External gives addresses of a small part, as long as there are some, and the same
// one again, also after Virtual has given it.
func TestExternal(t *testing.T) {
	virtual := netip.MustParsePrefix("198.18.0.0/16")
	tr := NewTranslator(virtual)
	seen := map[netip.Addr]bool{}
	real := netip.MustParseAddr("203.0.113.1")
	for range 256 - Reserved {
		v := tr.External(real)
		if !External(virtual).Contains(v) || seen[v] || tr.External(real) != v {
			t.Fatalf("%s has %s", real, v)
		}
		seen[v] = true
		real = real.Next()
	}
	if v := tr.External(real); v.IsValid() {
		t.Errorf("one too many has %s", v)
	}
	if v := tr.Virtual(real); !v.IsValid() || seen[v] || tr.External(real) != v {
		t.Errorf("elsewhere it has %s", v)
	}
	p, err := Make(Wanted{Cluster: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")}, Virtual: virtual, External: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(p.Routes); got != "[10.96.0.0/16 198.18.0.0/24]" || p.Contains(netip.MustParseAddr("198.18.0.20")) {
		t.Errorf("routes %s", got)
	}
}
