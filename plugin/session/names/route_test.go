package names

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// A session that has lost the cluster must find its API server again.
func TestAPIServerIsOutside(t *testing.T) {
	n := New(Config{Namespace: "shop", Namespaces: []string{"dev"}, Include: []string{"corp.internal", "api.corp.internal", ".example"},
		Mappings: map[string]string{"mapped.example": "quote.shop"},
		Outside:  []string{"api.DEV", "api.corp.internal", "proxy", "mapped.example.", "in.svc", "in.cluster.local", "localhost"}})
	for name, want := range map[string]Source{
		"api.dev.":           Laptop,
		"api.corp.internal.": Laptop,
		"proxy.":             Laptop,
		"mapped.example.":    Laptop,
		"in.svc.":            Laptop,
		"in.cluster.local.":  Laptop,
		// Their neighbors stay where they are.
		"quote.dev.":           ClusterFirst,
		"x.api.corp.internal.": Cluster,
		"other.":               ClusterFirst,
		"other.svc.":           Cluster,
		"localhost.":           Localhost,
	} {
		if got := n.Route(name, dns.TypeA).Source; got != want {
			t.Errorf("%s goes to %d, want %d", name, got, want)
		}
	}
}

// A namespace that is called like a domain of the world has no names of it, unless it is the
// user's.
func TestNamespaceOfTheWorld(t *testing.T) {
	n := New(Config{Namespace: "org", Intercepted: []string{"net"}, Namespaces: []string{"com", "dev", "net"}, Include: []string{"corp.com"}})
	for name, want := range map[string]Source{
		"example.com.":     Laptop,
		"www.example.com.": Laptop,
		"example.com.svc.": Cluster,
		"x.corp.com.":      Cluster,
		"example.dev.":     ClusterFirst,
		"example.org.":     ClusterFirst,
		"example.net.":     ClusterFirst,
		"com.":             ClusterFirst, // a Service of the user's namespace
	} {
		if got := n.Route(name, dns.TypeA).Source; got != want {
			t.Errorf("%s goes to %d, want %d", name, got, want)
		}
		if got := n.RouteHost(strings.TrimSuffix(name, ".")).Source; got != want {
			t.Errorf("the host %s goes to %d, want %d", name, got, want)
		}
	}
}

// A host that a proxy is asked for stands for what it stands for in a pod.
func TestRouteHost(t *testing.T) {
	n := New(Config{Domain: "cluster.local", Namespace: "shop", Include: []string{"corp.test", "api.svc"}, Exclude: []string{"secret.corp.test", "bank.svc"},
		Outside: []string{"api.corp.test"}, Mappings: map[string]string{"orders.example.com": "db.shop", "pinned.example.com": "203.0.113.4"}})
	for host, want := range map[string]Route{
		"quote":                         {Source: ClusterFirst, Full: []string{"quote.shop.svc.cluster.local."}},
		"quote.blog":                    {Source: ClusterFirst, Full: []string{"quote.blog.svc.cluster.local.", "quote.blog.shop.svc.cluster.local."}},
		"db-0.db.blog":                  {Source: ClusterFirst, Full: []string{"db-0.db.blog.svc.cluster.local."}},
		"quote.blog.svc":                {Source: Cluster, Full: []string{"quote.blog.svc.cluster.local."}},
		"Quote.blog.svc.Cluster.Local":  {Source: Cluster, Full: []string{"quote.blog.svc.cluster.local."}},
		"quote.blog.svc.cluster.local.": {Source: Cluster, Full: []string{"quote.blog.svc.cluster.local."}},
		"example.com.":                  {},
		"a.b.example.com":               {},
		"":                              {},
		"a..b":                          {},
		"a..svc":                        {},
		"vault.Corp.test":               {Source: Cluster, Full: []string{"vault.corp.test."}},
		"a.b.c.corp.test.":              {Source: Cluster, Full: []string{"a.b.c.corp.test."}},
		"a.secret.corp.test":            {},
		"api.corp.test":                 {},
		"quote.bank.svc":                {},
		"api.svc":                       {Source: Cluster, Full: []string{"api.svc."}},
		"Orders.example.com":            {Source: Mapping, Target: "db.shop"},
		"orders.example.com.":           {Source: Mapping, Target: "db.shop"},
		"pinned.example.com":            {Source: Mapping, Target: "203.0.113.4"},
		"localhost":                     {Source: Localhost},
	} {
		if got := n.RouteHost(host); !got.Equal(want) {
			t.Errorf("%q: %+v, want %+v", host, got, want)
		}
	}
}

func TestForeign(t *testing.T) {
	n := New(Config{Domain: "cluster.local", Namespace: "shop", Namespaces: []string{"blog"}, Include: []string{"corp.test"}})
	for host, want := range map[string]bool{
		"example.dev": true, "www.example.dev": true, "nas.local": true, "example.com": false, "www.example.com": false,
		"quote": false, "quote.shop": false, "db-0.db.blog": false, "quote.bank.svc": false, "quote.bank.svc.cluster.local": false, "vault.corp.test": false,
	} {
		if got := n.Foreign(host); got != want {
			t.Errorf("%s: %t", host, got)
		}
	}
}
