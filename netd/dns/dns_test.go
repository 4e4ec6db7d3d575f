package dns

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

func TestRender(t *testing.T) {
	server := netip.MustParseAddr("198.18.0.2")
	tests := map[string]struct {
		own  string
		d    handover.DNS
		want string
	}{
		"nothing of one's own": {"", handover.DNS{Search: []string{"svc.cluster.local"}, Ndots: 5},
			"nameserver 198.18.0.2\nsearch svc.cluster.local\noptions ndots:5\n"},
		"search and options stay": {"; a comment\nnameserver 192.0.2.1\ndomain old.example\nsearch corp.example svc.cluster.local\noptions ndots:2 edns0\noptions rotate timeout:1\n",
			handover.DNS{Search: []string{"svc.cluster.local"}, Ndots: 5},
			"nameserver 198.18.0.2\nsearch svc.cluster.local corp.example\noptions edns0 timeout:1 ndots:5\n"},
		"ndots of one's own": {"options ndots:2\n", handover.DNS{}, "nameserver 198.18.0.2\noptions ndots:2\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.d.Server = server
			if got := string(render(tt.d, parse([]byte(tt.own)))); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestResolvers(t *testing.T) {
	c := parse([]byte("#nameserver 192.0.2.9\nnameserver 192.0.2.1 \n nameserver 2001:db8::1\nnameserver fe80::1%eth0\nnameserver example.com\nnameserver\nnameserver 198.18.0.2"))
	var got []string
	for _, r := range c.resolvers(netip.MustParseAddr("198.18.0.2")) {
		got = append(got, r.String())
	}
	if want := "192.0.2.1:53 [2001:db8::1]:53 [fe80::1%eth0]:53"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// FuzzConf: whatever the user's file holds, ours has one server and can be
// read.
func FuzzConf(f *testing.F) {
	f.Add([]byte("nameserver 192.0.2.1\nsearch a b\noptions rotate ndots:3\n"))
	f.Add([]byte("domain \x00\nsearch\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := handover.DNS{Server: netip.MustParseAddr("198.18.0.2"), Search: []string{"svc"}, Ndots: 5}
		c := parse(render(d, parse(b)))
		if len(c.servers) != 1 || c.servers[0] != d.Server || len(c.search) == 0 || c.search[0] != "svc" {
			t.Errorf("got %+v", c)
		}
	})
}
