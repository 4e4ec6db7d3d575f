package route

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

func ps(s ...string) (all []netip.Prefix) {
	for _, p := range s {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}

func entry(prefix, gateway, device string) Entry {
	e := Entry{Prefix: netip.MustParsePrefix(prefix), Device: device}
	if gateway != "" {
		e.Gateway = netip.MustParseAddr(gateway)
	}
	return e
}

func TestConflicts(t *testing.T) {
	home := []Entry{entry("0.0.0.0/0", "192.168.1.1", "wlan0"), entry("::/0", "fe80::1", "wlan0"),
		entry("192.168.1.0/24", "", "wlan0"), entry("172.17.0.0/16", "", "docker0"),
		{Prefix: netip.MustParsePrefix("192.168.1.20/32"), Device: "wlan0", Local: true}}
	resolvers := []netip.AddrPort{netip.MustParseAddrPort("192.168.1.1:53"), netip.MustParseAddrPort("[fe80::1%wlan0]:53"), netip.MustParseAddrPort("127.0.0.53:53")}
	tests := map[string]struct {
		c    handover.Config
		have []Entry
		want []string // reason, route, with, device
	}{
		"nothing in the way": {handover.Config{Addresses: ps("198.18.0.1/30"), Routes: ps("10.96.0.0/12", "fd00::/108")}, nil, nil},
		"docker": {handover.Config{Routes: ps("172.16.0.0/12")}, nil,
			[]string{"overlap 172.16.0.0/12 172.17.0.0/16 docker0"}},
		"home network, resolver and gateway": {handover.Config{Routes: ps("192.168.0.0/16")}, nil, []string{
			"resolver 192.168.0.0/16 192.168.1.1/32 ", "gateway 192.168.0.0/16 192.168.1.1/32 wlan0", "overlap 192.168.0.0/16 192.168.1.0/24 wlan0"}},
		"allowed, but not the gateway": {handover.Config{Routes: ps("192.168.0.0/16"), AllowConflicting: ps("192.168.0.0/16")}, nil, []string{
			"resolver 192.168.0.0/16 192.168.1.1/32 ", "gateway 192.168.0.0/16 192.168.1.1/32 wlan0"}},
		"allowed in part": {handover.Config{Routes: ps("10.0.0.0/8"), AllowConflicting: ps("10.1.0.0/16")},
			[]Entry{entry("10.1.0.0/16", "", "wg0"), entry("10.1.2.0/24", "", "wg0"), entry("10.2.0.0/16", "", "wg0")},
			[]string{"overlap 10.0.0.0/8 10.2.0.0/16 wg0"}},
		"less than allowed": {handover.Config{Routes: ps("10.244.0.0/16"), AllowConflicting: ps("10.244.0.0/24")},
			[]Entry{entry("10.0.0.0/8", "", "wg0")}, []string{"overlap 10.244.0.0/16 10.244.0.0/16 wg0"}},
		"the TUN's own network": {handover.Config{Addresses: ps("198.18.0.1/30")},
			[]Entry{entry("198.18.0.0/15", "", "intercept1")}, []string{"overlap 198.18.0.0/30 198.18.0.0/30 intercept1"}},
		"the machine's address": {handover.Config{Addresses: ps("192.168.1.20/32")}, nil,
			[]string{"overlap 192.168.1.20/32 192.168.1.20/32 wlan0"}},
		"an address to keep reachable": {handover.Config{Routes: ps("10.0.0.0/8", "fd00::/8"), KeepReachable: []netip.Addr{netip.MustParseAddr("10.9.8.7"), netip.MustParseAddr("::ffff:10.9.8.6"), netip.MustParseAddr("fd12::7")}}, nil,
			[]string{"api-server 10.0.0.0/8 10.9.8.7/32 ", "api-server 10.0.0.0/8 10.9.8.6/32 ", "api-server fd00::/8 fd12::7/128 "}},
		"two ways to the same": {handover.Config{Routes: ps("10.0.0.0/8")},
			[]Entry{entry("10.1.0.0/16", "10.1.0.1", "wg0"), entry("10.1.0.0/16", "10.1.0.2", "wg0")}, []string{"overlap 10.0.0.0/8 10.1.0.0/16 wg0"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, c := range Conflicts(&tt.c, append(slices.Clone(home), tt.have...), resolvers) {
				got = append(got, string(c.Reason)+" "+c.Route.String()+" "+c.With.String()+" "+c.Device)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestRoutesToAdd(t *testing.T) {
	tests := map[string]struct {
		c    handover.Config
		have []Entry
		want []netip.Prefix
	}{
		"as they are":   {handover.Config{Routes: ps("10.96.0.0/12", "10.96.0.0/12", "fd00::/108")}, nil, ps("10.96.0.0/12", "fd00::/108")},
		"equal":         {handover.Config{Routes: ps("10.96.0.0/12"), AllowConflicting: ps("10.0.0.0/8")}, []Entry{entry("10.96.0.0/12", "", "wg0")}, ps("10.96.0.0/13", "10.104.0.0/13")},
		"more specific": {handover.Config{Routes: ps("10.96.0.0/12"), AllowConflicting: ps("10.96.0.0/16")}, []Entry{entry("10.96.0.0/16", "", "wg0")}, ps("10.96.0.0/12", "10.96.0.0/17", "10.96.128.0/17")},
		"less specific": {handover.Config{Routes: ps("10.96.0.0/12"), AllowConflicting: ps("10.0.0.0/8")}, []Entry{entry("10.0.0.0/8", "", "wg0"), entry("0.0.0.0/0", "", "")}, ps("10.96.0.0/12")},
		"one address":   {handover.Config{Routes: ps("10.96.0.0/12"), AllowConflicting: ps("10.0.0.0/8")}, []Entry{entry("10.96.0.1/32", "", "wg0")}, ps("10.96.0.0/12")},
		"IPv6":          {handover.Config{Routes: ps("fd00::/64"), AllowConflicting: ps("fd00::/64")}, []Entry{entry("fd00::/64", "", "wg0")}, ps("fd00::/65", "fd00:0:0:0:8000::/65")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := RoutesToAdd(&tt.c, tt.have); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestDifference(t *testing.T) {
	add, remove := difference(ps("10.0.0.0/8", "10.1.0.0/16"), ps("10.1.0.0/16", "10.2.0.0/16", "10.2.0.0/16"))
	if !slices.Equal(add, ps("10.2.0.0/16")) || !slices.Equal(remove, ps("10.0.0.0/8")) {
		t.Errorf("add %v, remove %v", add, remove)
	}
}
