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
	if got := n.SearchList(); len(got) != 2 || got[1] != "corp.example" || n.Dots() != 2 {
		t.Errorf("search %q, ndots %d", got, n.Dots())
	}
}
