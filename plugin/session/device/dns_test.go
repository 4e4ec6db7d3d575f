//go:build linux

package device

import (
	"context"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// ask sends a query for quote to the name server at the address that the Device tells.
func (l *lab) ask(t *testing.T, d *Device) {
	t.Helper()
	at := d.Status().DNS
	h := l.exchange(t, question(netip.AddrPortFrom(at, 53), "quote.shop.svc.cluster.local."))
	m := new(dns.Msg)
	if err := m.Unpack(h[8:]); err != nil || len(m.Answer) != 1 {
		t.Fatalf("%s answers %v, %v", at, m, err)
	}
}

// With another virtual subnet the name server has another address.
func TestNamesMoveWithTheVirtualSubnet(t *testing.T) {
	l := newLab(t)
	d := l.must(t, want())
	l.ask(t, d)
	other := want()
	other.Virtual = netip.MustParsePrefix("198.19.0.0/16")
	for _, w := range []Want{other, want(), other} {
		if err := d.Update(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		if asked := l.netd.Asked(); asked[len(asked)-1].DNS.Server != d.Status().DNS || !d.Wants(w) {
			t.Fatalf("netd leads to %s, the device says %s", asked[len(asked)-1].DNS.Server, d.Status().DNS)
		}
		l.ask(t, d)
	}
	if at := d.Status().DNS; !other.Virtual.Contains(at) {
		t.Errorf("the name server is still %s", at)
	}
}

// Close does not wait for updates to end.
func TestCloseDuringUpdates(t *testing.T) {
	l := newLab(t)
	d := l.must(t, want())
	var wg sync.WaitGroup
	for _, virtual := range []string{"198.19.0.0/16", "100.64.0.0/16", "100.65.0.0/16"} {
		w := want()
		w.Virtual = netip.MustParsePrefix(virtual)
		wg.Go(func() {
			for d.Update(context.Background(), w) == nil {
			}
		})
	}
	for deadline := time.Now().Add(20 * time.Second); len(l.netd.Asked()) < 30; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("no updates")
		}
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if n := l.netd.Open(); n != 0 {
		t.Errorf("%d networks are left", n)
	}
}
