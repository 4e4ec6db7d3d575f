package names

import (
	"reflect"
	"testing"

	"github.com/miekg/dns"
)

// In a pod's place, no name is the laptop's but the API server's and what is excluded.
func TestWhole(t *testing.T) {
	n := New(Config{Namespace: "shop", Outside: []string{"api.example.com"}, Exclude: []string{"lan"}, Mappings: map[string]string{"ledger": "192.0.2.7"},
		Whole: &Whole{Search: []string{"shop.svc.cluster.local", "corp.example"}, Ndots: 2}})
	for name, want := range map[string]Route{
		"api.example.com.":              {Source: Laptop},
		"printer.lan.":                  {Source: Laptop},
		"ledger.":                       {Source: Mapping, Target: "192.0.2.7"},
		"localhost.":                    {Source: Localhost},
		"example.com.":                  {Source: Cluster, Full: []string{"example.com."}},
		"quote.":                        {Source: Cluster, Full: []string{"quote."}},
		"db.corp.example.":              {Source: Cluster, Full: []string{"db.corp.example."}},
		"7.2.0.192.in-addr.arpa.":       {Source: Cluster, Full: []string{"7.2.0.192.in-addr.arpa."}},
		"quote.shop.svc.cluster.local.": {Source: Cluster, Full: []string{"quote.shop.svc.cluster.local."}},
	} {
		if got := n.Route(name, dns.TypeA); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	// A program names hosts to a proxy as a resolver in the pod would get them.
	for host, want := range map[string]Route{
		"Quote":           {Source: Cluster, Full: []string{"quote.shop.svc.cluster.local.", "quote.corp.example.", "quote."}},
		"db.corp.example": {Source: Cluster, Full: []string{"db.corp.example.", "db.corp.example.shop.svc.cluster.local.", "db.corp.example.corp.example."}},
		"example.com.":    {Source: Cluster, Full: []string{"example.com."}},
		"ledger":          {Source: Mapping, Target: "192.0.2.7"},
		"api.example.com": {Source: Laptop},
		"localhost":       {Source: Localhost},
	} {
		if got := n.RouteHost(host); !reflect.DeepEqual(got, want) {
			t.Errorf("host %s: %+v, want %+v", host, got, want)
		}
	}
	if got := n.SearchList(); len(got) != 2 || got[1] != "corp.example" || n.Dots() != 2 {
		t.Errorf("search %q, ndots %d", got, n.Dots())
	}
}

// With the search list of a pod alone, other names stay the laptop's.
func TestInPod(t *testing.T) {
	n := New(Config{Namespace: "shop", InPod: &Whole{Search: []string{"shop.svc.cluster.local", "elsewhere.svc.cluster.local"}, Ndots: 3}})
	if got := n.SearchList(); len(got) != 2 || got[1] != "elsewhere.svc.cluster.local" || n.Dots() != 3 {
		t.Errorf("search %q, ndots %d", got, n.Dots())
	}
	for name, want := range map[string]Source{"example.com.": Laptop, "db.elsewhere.svc.cluster.local.": Cluster, "quote.": ClusterFirst} {
		if got := n.Route(name, dns.TypeA).Source; got != want {
			t.Errorf("%s: source %v, want %v", name, got, want)
		}
	}
}
