package nameserver

import (
	"testing"

	"github.com/miekg/dns"
)

// A session that has lost the cluster must find the way back.
func TestTheWayIsOutside(t *testing.T) {
	n := newNames(&Config{Namespace: "shop", Namespaces: []string{"dev"}, Include: []string{"corp.internal", "api.corp.internal", ".example"},
		Mappings: map[string]string{"mapped.example": "quote.shop"},
		Outside:  []string{"api.DEV", "api.corp.internal", "proxy", "mapped.example.", "in.svc", "in.cluster.local", "localhost"}})
	for name, want := range map[string]place{
		"api.dev.":           laptop,
		"api.corp.internal.": laptop,
		"proxy.":             laptop,
		"mapped.example.":    laptop,
		"in.svc.":            laptop,
		"in.cluster.local.":  laptop,
		// Their neighbours stay where they are.
		"quote.dev.":           perhaps,
		"x.api.corp.internal.": cluster,
		"other.":               perhaps,
		"other.svc.":           cluster,
		"localhost.":           local,
	} {
		if got := n.route(name, dns.TypeA).place; got != want {
			t.Errorf("%s goes to %d, want %d", name, got, want)
		}
	}
}
