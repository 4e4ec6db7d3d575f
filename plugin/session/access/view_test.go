package access

import (
	"fmt"
	"net/netip"
	"testing"
)

// What a pod's host aliases name is routed like the cluster, in one order.
func TestOutside(t *testing.T) {
	aliases := map[string]netip.Addr{}
	for name, a := range map[string]string{"quote-0": "10.244.0.7", "ledger": "192.0.2.7", "ledger.example.com": "192.0.2.7", "six": "fd00::9", "old": "::ffff:192.0.2.3"} {
		aliases[name] = netip.MustParseAddr(a)
	}
	got := fmt.Sprint(outside(aliases, []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16"), netip.MustParsePrefix("10.244.0.0/16")}))
	if want := "[192.0.2.3/32 192.0.2.7/32 fd00::9/128]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
