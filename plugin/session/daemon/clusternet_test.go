package daemon

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

func subnets(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestReadClusterNetwork(t *testing.T) {
	got, err := readClusterNetwork(&v1alpha1.SessionNetwork{ClusterDomain: "cluster.local", DNSAddresses: []string{"10.96.0.10"},
		ServiceCIDRs: []string{"10.96.0.0/16", "fd00::/112"}, PodCIDRs: []string{"10.244.0.0/24"},
		Routing: v1alpha1.SessionRouting{AlsoProxySubnets: []string{"10.20.0.0/16"}, NeverProxySubnets: []string{"10.96.7.0/24"},
			AllowConflictingSubnets: []string{"10.0.0.0/8"}, VirtualSubnet: "198.19.0.0/16"},
		DNS: v1alpha1.SessionDNS{IncludeSuffixes: []string{".internal"}, ExcludeSuffixes: []string{".com"},
			Mappings: []v1alpha1.DNSMapping{{Name: "db.example", AliasFor: "db.shop"}}}})
	if err != nil {
		t.Fatal(err)
	}
	want := &clusterNetwork{Domain: "cluster.local", DNS: []netip.Addr{netip.MustParseAddr("10.96.0.10")},
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
		if _, err := readClusterNetwork(&n); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error of %s", err, want)
		}
	}
}

// The object's watch brings the network, and each change of it.
func TestClusterNetworkIsFollowed(t *testing.T) {
	c := newCluster(t)
	cfg, err := c.factory().ToRESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	api, err := kube.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	object := func(cidrs ...string) *v1alpha1.Session {
		s := &v1alpha1.Session{ObjectMeta: metav1.ObjectMeta{Namespace: "intercept-system", Name: "jane", UID: "u"}}
		if cidrs != nil {
			s.Status.Network = &v1alpha1.SessionNetwork{ServiceCIDRs: cidrs}
		}
		return s
	}
	first := object()
	c.put(first)
	var feed clusterFeed
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := feed.wait(short); !errors.Is(err, errNoClusterNetwork) {
		t.Errorf("without a network: %v", err)
	}
	ended := make(chan struct{})
	go func() {
		untilDeleted(t.Context(), api, object(), func(s *v1alpha1.Session) { feed.set(s.Status.Network) })
		close(ended)
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c.put(object("10.96.0.0/16"))
	if n, err := feed.wait(ctx); err != nil || n.Services[0].String() != "10.96.0.0/16" {
		t.Fatalf("%+v, %v", n, err)
	}
	_, changed := feed.get()
	c.put(object("nonsense")) // what there was goes on
	c.put(object("10.96.0.0/16", "10.112.0.0/16"))
	for {
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatal("the change does not arrive")
		}
		var n *clusterNetwork
		if n, changed = feed.get(); len(n.Services) == 2 {
			break
		}
	}
	c.remove(path(first))
	select {
	case <-ended:
	case <-ctx.Done():
		t.Fatal("the end does not arrive")
	}
}

func TestHolds(t *testing.T) {
	one := func(text string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(text)} }
	known := &clusterNetwork{Services: one("10.96.0.0/16"), Pods: one("10.244.0.0/16"), AlsoProxy: one("10.20.0.0/16"), NeverProxy: one("10.244.7.0/24")}
	for _, c := range []struct {
		n    *clusterNetwork
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
		{&clusterNetwork{NeverProxy: one("192.168.0.0/16")}, "192.168.1.1", true},
	} {
		if got := c.n.holds(netip.MustParseAddr(c.a)); got != c.want {
			t.Errorf("%+v holds %s: %t", c.n, c.a, got)
		}
	}
}
