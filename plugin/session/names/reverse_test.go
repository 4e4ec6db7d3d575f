package names

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestNamesOfAddresses(t *testing.T) {
	for _, a := range []string{"10.96.0.7", "0.0.0.0", "255.1.2.3", "fd00::9", "2001:db8:1234::abcd"} {
		name, err := dns.ReverseAddr(a)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := addressOf(strings.TrimSuffix(name, ".")); !ok || got.String() != a {
			t.Errorf("%s: %v, %v", name, got, ok)
		}
	}
	for _, name := range []string{"in-addr.arpa", "0.10.in-addr.arpa", "1.2.3.256.in-addr.arpa", "1.2.3.4.5.in-addr.arpa", "a.ip6.arpa",
		strings.Repeat("g.", 32) + "ip6.arpa", strings.Repeat("11", 31) + "1.ip6.arpa"} {
		if a, ok := addressOf(name); ok {
			t.Errorf("%s is %s", name, a)
		}
	}
	for p, want := range map[string]string{
		"10.96.0.0/16":   "96.10.in-addr.arpa",
		"10.96.0.0/15":   "96.10.in-addr.arpa 97.10.in-addr.arpa",
		"10.0.0.0/7":     "10.in-addr.arpa 11.in-addr.arpa",
		"0.0.0.0/0":      "in-addr.arpa",
		"10.1.2.252/30":  "252.2.1.10.in-addr.arpa 253.2.1.10.in-addr.arpa 254.2.1.10.in-addr.arpa 255.2.1.10.in-addr.arpa",
		"fd00::/8":       "d.f.ip6.arpa",
		"fd00:ab00::/23": "a.a.0.0.d.f.ip6.arpa b.a.0.0.d.f.ip6.arpa",
	} {
		if got := strings.Join(reverseZones(netip.MustParsePrefix(p)), " "); got != want {
			t.Errorf("%s: %s, want %s", p, got, want)
		}
	}
}
