//go:build linux

package device

import (
	"net/netip"
	"slices"
	"testing"
)

// An external address gets a virtual one when the cluster gives it for a name. The
// virtual one is routed into the TUN from then on, also after an update. An address
// that is never proxied, or that means this machine or its link, gets none.
func TestExternal(t *testing.T) {
	l := newLab(t)
	w := want()
	w.Never = prefixes("172.16.0.0/12")
	d := l.must(t, w)
	near, outside := netip.MustParsePrefix("198.18.0.0/24"), netip.MustParseAddr("203.0.113.9")
	for _, text := range []string{"10.96.0.7", "172.16.0.5", "127.0.0.1", "169.254.169.254", "0.0.0.0", "2001:db8::1"} {
		if a := netip.MustParseAddr(text); d.externalAddr(a) != a {
			t.Errorf("%s becomes %s", a, d.externalAddr(a))
		}
	}
	if n := len(l.netd.Asked()); n != 1 {
		t.Fatalf("netd was asked %d times", n)
	}
	v := d.externalAddr(outside)
	if !near.Contains(v) || !slices.Contains(d.Status().Routes, near) {
		t.Fatalf("%s is reached by %s, routes %v", outside, v, d.Status().Routes)
	}
	other := w
	other.Names.Namespace = "tools"
	if err := d.Update(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if again := d.externalAddr(outside); again != v || !slices.Contains(d.Status().Routes, near) {
		t.Errorf("after an update %s is reached by %s, routes %v", outside, again, d.Status().Routes)
	}
	real, ok := d.real(v)
	if !ok || real != outside || !d.external(v, real) || d.inCluster(v, real) {
		t.Errorf("%s leads to %s, %v", v, real, ok)
	}
	if cluster := netip.MustParseAddr("10.96.0.7"); d.external(cluster, cluster) {
		t.Error("a Service is outside")
	}
}
