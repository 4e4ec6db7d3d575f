package names

import (
	"net/netip"
	"slices"
	"testing"
)

func TestSearch(t *testing.T) {
	if got, want := Search("Shop", "cluster.local."), []string{"shop.svc.cluster.local", "svc.cluster.local", "cluster.local"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestSearchOfIntercepts(t *testing.T) {
	n := New(Config{Namespace: "default", Intercepted: []string{"shop", "default", "bank"}})
	want := []string{"default.svc.cluster.local", "svc.cluster.local", "cluster.local", "shop.svc.cluster.local", "bank.svc.cluster.local"}
	if got := n.SearchList(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestDomains(t *testing.T) {
	n := New(Config{Domain: "cluster.local", Namespace: "default", Intercepted: []string{"shop"}, Namespaces: []string{"dev", "kube-system"},
		Include: []string{".corp.internal"}, Exclude: []string{"excluded.svc"},
		CIDRs:    []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16"), netip.MustParsePrefix("fd00:96::/112")},
		Mappings: map[string]string{"api.example.com": "quote.shop", "pinned.example.com": "203.0.113.4", "loop.a": "loop.b", "loop.b": "loop.a"}})
	want := []string{"cluster.local", "svc", "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.0.d.f.ip6.arpa", "96.10.in-addr.arpa", "api.example.com", "corp.internal", "default", "dev", "kube-system",
		"loop.a", "loop.b", "pinned.example.com", "shop"}
	if got := n.Domains(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
