package access

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

func subnets(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestReadNetwork(t *testing.T) {
	got, err := readNetwork(&v1alpha1.SessionNetwork{ClusterDomain: "cluster.local", DNSAddresses: []string{"10.96.0.10"},
		ServiceCIDRs: []string{"10.96.0.0/16", "fd00::/112"}, PodCIDRs: []string{"10.244.0.0/24"},
		Routing: v1alpha1.SessionRouting{AlsoProxySubnets: []string{"10.20.0.0/16"}, NeverProxySubnets: []string{"10.96.7.0/24"},
			AllowConflictingSubnets: []string{"10.0.0.0/8"}, VirtualSubnet: "198.19.0.0/16"},
		DNS: v1alpha1.SessionDNS{IncludeSuffixes: []string{".internal"}, ExcludeSuffixes: []string{".com"},
			Mappings: []v1alpha1.DNSMapping{{Name: "db.example", AliasFor: "db.shop"}}}})
	if err != nil {
		t.Fatal(err)
	}
	want := &ClusterNetwork{Domain: "cluster.local", DNS: []netip.Addr{netip.MustParseAddr("10.96.0.10")},
		Services: subnets("10.96.0.0/16", "fd00::/112"), Pods: subnets("10.244.0.0/24"),
		AlsoProxy: subnets("10.20.0.0/16"), NeverProxy: subnets("10.96.7.0/24"), AllowConflicting: subnets("10.0.0.0/8"),
		Virtual: netip.MustParsePrefix("198.19.0.0/16"), Include: []string{".internal"}, Exclude: []string{".com"},
		Mappings: map[string]string{"db.example": "db.shop"}}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for want, n := range map[string]v1alpha1.SessionNetwork{
		"dnsAddresses":          {DNSAddresses: []string{"dns"}},
		"podCIDRs":              {PodCIDRs: []string{"10.0.0.0"}},
		"routing.virtualSubnet": {Routing: v1alpha1.SessionRouting{VirtualSubnet: "x"}},
	} {
		if _, err := readNetwork(&n); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error of %s", err, want)
		}
	}
}

// A Session object whose network is not valid changes nothing.
func TestFeed(t *testing.T) {
	feed := NewFeed()
	short, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := feed.wait(short); !errors.Is(err, errNoNetwork) {
		t.Errorf("without a network: %v", err)
	}
	feed.Set(&v1alpha1.SessionNetwork{ServiceCIDRs: []string{"nonsense"}})
	if n, err := feed.wait(t.Context()); err == nil || feed.Last() != nil {
		t.Errorf("of an object that is not valid: %+v", n)
	}
	for _, cidr := range []string{"10.96.0.0/16", "nonsense"} {
		feed.Set(&v1alpha1.SessionNetwork{ServiceCIDRs: []string{cidr}})
		if n, err := feed.wait(t.Context()); err != nil || n.Services[0].String() != "10.96.0.0/16" {
			t.Errorf("after %s: %+v, %v", cidr, n, err)
		}
	}
	waiting, got := NewFeed(), make(chan *ClusterNetwork)
	go func() {
		n, _ := waiting.wait(t.Context())
		got <- n
	}()
	waiting.Set(&v1alpha1.SessionNetwork{ServiceCIDRs: []string{"10.96.0.0/16"}})
	if n := <-got; n == nil || len(n.Services) != 1 {
		t.Errorf("after a while: %+v", n)
	}
}

func TestHolds(t *testing.T) {
	one := func(text string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(text)} }
	known := &ClusterNetwork{Services: one("10.96.0.0/16"), Pods: one("10.244.0.0/16"), AlsoProxy: one("10.20.0.0/16"), NeverProxy: one("10.244.7.0/24")}
	for _, c := range []struct {
		n    *ClusterNetwork
		a    string
		want bool
	}{
		{known, "10.96.0.1", true},
		{known, "10.244.0.1", true},
		{known, "10.20.0.1", true},
		{known, "10.244.7.1", false},
		{known, "192.168.1.1", false},
		{known, "fd00::1", false},
		{nil, "192.168.1.1", true},
		{&ClusterNetwork{NeverProxy: one("192.168.0.0/16")}, "192.168.1.1", true},
	} {
		if got := c.n.Holds(netip.MustParseAddr(c.a)); got != c.want {
			t.Errorf("%+v holds %s: %t", c.n, c.a, got)
		}
	}
}
