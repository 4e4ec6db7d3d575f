package podnames

import (
	"bytes"
	"net/netip"
	"reflect"
	"testing"
)

const resolv = `# made by a kubelet
search shop.svc.cluster.local svc.cluster.local cluster.local
nameserver 10.96.0.10
nameserver fd00::a ; the second one
nameserver nonsense
options edns0 ndots:5 timeout:2
sortlist
`

const hosts = `# Kubernetes-managed hosts file.
127.0.0.1	localhost
::1	localhost ip6-localhost
fe00::0	ip6-localnet
10.244.0.7	quote-0.quotes.shop.svc.cluster.local quote-0

# Entries added by HostAliases.
fd00::9	ledger
10.1.2.3	Ledger.example.com	ledger # the old one
`

func TestParse(t *testing.T) {
	n := Parse([]byte(resolv), []byte(hosts))
	want := []netip.Addr{netip.MustParseAddr("10.96.0.10"), netip.MustParseAddr("fd00::a")}
	if !reflect.DeepEqual(n.Servers, want) || n.Ndots != 5 || !reflect.DeepEqual(n.Search, []string{"shop.svc.cluster.local", "svc.cluster.local", "cluster.local"}) {
		t.Errorf("resolv.conf is read as %+v", n)
	}
	addresses := map[string]netip.Addr{}
	for name, a := range map[string]string{"quote-0.quotes.shop.svc.cluster.local": "10.244.0.7", "quote-0": "10.244.0.7",
		"ledger.example.com": "10.1.2.3", "ledger": "10.1.2.3"} {
		addresses[name] = netip.MustParseAddr(a)
	}
	if got := n.Addresses(); !reflect.DeepEqual(got, addresses) {
		t.Errorf("the hosts file gives %v, want %v", got, addresses)
	}
	b, err := n.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if back, err := Read(bytes.NewReader(b)); err != nil || !reflect.DeepEqual(back, n) {
		t.Errorf("%+v comes back as %+v, %v", n, back, err)
	}
}

func TestParseOptions(t *testing.T) {
	for text, want := range map[string]int{"": 1, "options ndots:0": 0, "options ndots:99": 15, "options ndots:-1": 1, "options ndots:x": 1, "options debug\noptions ndots:2": 2} {
		if n := Parse([]byte(text), nil); n.Ndots != want {
			t.Errorf("%q: ndots is %d, want %d", text, n.Ndots, want)
		}
	}
	if n := Parse([]byte("search a b\ndomain c.\n"), nil); !reflect.DeepEqual(n.Search, []string{"c"}) {
		t.Errorf("the search list is %q", n.Search)
	}
}

// What an agent sends is from outside: a session reads it without harm, and what it
// understands it can send.
func FuzzRead(f *testing.F) {
	b, err := Parse([]byte(resolv), []byte(hosts)).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"ndots":-3,"hosts":[{"address":"","names":[""]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		if n.Ndots < 0 || n.Ndots > maxNdots {
			t.Errorf("ndots is %d", n.Ndots)
		}
		for name, a := range n.Addresses() {
			if name == "" || !a.IsValid() || a.IsLoopback() {
				t.Errorf("%q has %v", name, a)
			}
		}
	})
}
