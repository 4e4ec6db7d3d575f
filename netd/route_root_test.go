//go:build rootful

package main

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

// What would be taken from the laptop is refused, and nothing is changed.
func TestRefusals(t *testing.T) {
	p := netip.MustParsePrefix
	tests := map[string]struct {
		prepare string // on the laptop
		change  func(*handover.Config)
		want    []handover.Conflict
	}{
		"API server": {"", func(c *handover.Config) { c.Routes = prefixes("203.0.113.0/28") },
			[]handover.Conflict{{Reason: handover.ReasonAPIServer, Route: p("203.0.113.0/28"), With: p("203.0.113.6/32")}}},
		"resolver": {"", func(c *handover.Config) { c.Routes = prefixes("203.0.113.48/28", "10.96.0.0/12") },
			[]handover.Conflict{{Reason: handover.ReasonResolver, Route: p("203.0.113.48/28"), With: p("203.0.113.53/32")}}},
		"gateway": {"", func(c *handover.Config) { c.Routes = prefixes("192.0.2.0/30") }, []handover.Conflict{
			{Reason: handover.ReasonGateway, Route: p("192.0.2.0/30"), With: p("192.0.2.1/32"), Device: "wlan0"},
			{Reason: handover.ReasonOverlap, Route: p("192.0.2.0/30"), With: p("192.0.2.0/30"), Device: "wlan0"}}},
		"gateway of IPv6": {"ip -6 route replace default via fd93::1 dev wlan0 onlink", func(c *handover.Config) { c.Routes = prefixes("fd93::/64") },
			[]handover.Conflict{{Reason: handover.ReasonGateway, Route: p("fd93::/64"), With: p("fd93::1/128"), Device: "wlan0"}}},
		"gateway in another table": {"ip route add default via 192.0.2.77 table 51820", func(c *handover.Config) {
			c.Routes, c.AllowConflicting = prefixes("192.0.2.64/27"), prefixes("192.0.2.0/24")
		}, []handover.Conflict{{Reason: handover.ReasonGateway, Route: p("192.0.2.64/27"), With: p("192.0.2.77/32"), Device: "wlan0"}}},
		"VPN more specific": {"ip route add 10.99.0.0/16 dev far", nil,
			[]handover.Conflict{{Reason: handover.ReasonOverlap, Route: p("10.96.0.0/12"), With: p("10.99.0.0/16"), Device: "far"}}},
		"VPN equal": {"ip route add 10.244.0.0/16 dev far", nil,
			[]handover.Conflict{{Reason: handover.ReasonOverlap, Route: p("10.244.0.0/16"), With: p("10.244.0.0/16"), Device: "far"}}},
		"VPN covers the pods": {"ip route add 10.128.0.0/9 dev far", nil,
			[]handover.Conflict{{Reason: handover.ReasonOverlap, Route: p("10.244.0.0/16"), With: p("10.244.0.0/16"), Device: "far"}}},
		"VPN in its own table": {"ip route add 10.99.0.0/16 dev far table 51820", nil,
			[]handover.Conflict{{Reason: handover.ReasonOverlap, Route: p("10.96.0.0/12"), With: p("10.99.0.0/16"), Device: "far"}}},
		"VPN of IPv6": {"ip -6 route add fd10::/64 dev far", nil,
			[]handover.Conflict{{Reason: handover.ReasonOverlap, Route: p("fd10::/112"), With: p("fd10::/112"), Device: "far"}}},
		"the laptop's own address": {"ip addr add 198.18.0.1/32 dev far", nil,
			[]handover.Conflict{{Reason: handover.ReasonOverlap, Route: p("198.18.0.1/32"), With: p("198.18.0.1/32"), Device: "far"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLaptop(t)
			if tt.prepare != "" {
				l.sh(tt.prepare)
			}
			l.serve()
			before := l.snapshot()
			c := config()
			if tt.change != nil {
				tt.change(&c)
				c.DNS = handover.DNS{}
			}
			s := l.session()
			r := s.refuses(handover.OpOpen, c, "would cover")
			if !slices.Equal(r.Refused, tt.want) {
				t.Errorf("got  %v\nwant %v", r.Refused, tt.want)
			}
			if now := l.snapshot(); now != before {
				t.Errorf("the laptop was changed:\n%s\nbefore:\n%s", now, before)
			}
			// The connection can still be used.
			c = config("10.32.0.0/16")
			c.Addresses = prefixes("198.18.0.9/30")
			c.DNS = handover.DNS{}
			s.must(handover.OpOpen, c)
		})
	}
}

// A route that is merely the default is no conflict, however it is written.
func TestDefaultRoutesAreNoConflict(t *testing.T) {
	l := newLaptop(t)
	l.sh(`ip route add 0.0.0.0/1 dev far; ip route add 128.0.0.0/1 dev far
		ip -6 route add 2000::/3 dev far; ip -6 route add ::/1 dev far; ip -6 route add 8000::/1 dev far`)
	l.serve()
	l.session().must(handover.OpOpen, config())
}

// What may be taken is taken, also from a route that is as specific.
func TestAllowConflicting(t *testing.T) {
	l := newLaptop(t)
	l.sh("ip route add 10.99.0.0/16 dev far; ip route add 10.244.0.0/16 dev far; ip -6 route add fd10::/112 dev far; ip route add 10.100.0.7 dev far")
	before := l.snapshot()
	l.serve()
	s := l.session()
	c := config()
	c.AllowConflicting = prefixes("10.99.0.0/16", "10.244.0.0/15", "fd10::/64", "10.100.0.7/32")
	s.must(handover.OpOpen, c)
	for _, a := range []string{"10.96.0.1", "10.99.1.2", "10.99.200.2", "10.244.0.1", "10.244.255.1", "fd10::1", "fd10::ff01"} {
		if got := l.run("ip", "route", "get", a); !strings.Contains(got, "dev intercept0") {
			t.Errorf("%s: %s", a, got)
		}
	}
	s.must(handover.OpClose, c)
	l.becomes(before)
}

func TestUpdate(t *testing.T) {
	l := newLaptop(t)
	before := l.snapshot()
	l.serve()
	s := l.session()
	s.must(handover.OpOpen, config())

	more := config("10.96.0.0/12", "10.32.0.0/16", "fd11::/112")
	more.MTU = 1400
	more.Addresses = prefixes("198.18.0.9/30", "198.18.0.10/30", "fd19::1/126")
	more.DNS = handover.DNS{Server: netip.MustParseAddr("10.96.0.10"), Search: []string{"till.svc.cluster.local"}}
	if n := s.must(handover.OpUpdate, more); n.DNSMode != handover.DNSResolvConf || len(n.Resolvers) != 1 || n.Resolvers[0].Addr().String() != "203.0.113.53" {
		t.Errorf("got %+v", n)
	}
	if got, want := l.routes("intercept0"), []string{"10.32.0.0/16", "10.96.0.0/12", "fd11::/112"}; !slices.Equal(got, want) {
		t.Errorf("routes %v, want %v", got, want)
	}
	addrs := l.run("ip", "-br", "addr", "show", "intercept0")
	for _, want := range []string{"198.18.0.9/30", "198.18.0.10/30", "fd19::1/126"} {
		if !strings.Contains(addrs, want) {
			t.Errorf("no %s in %s", want, addrs)
		}
	}
	if strings.Contains(addrs, "198.18.0.1/30") || strings.Contains(addrs, "fd18") {
		t.Errorf("an old address stays: %s", addrs)
	}
	if conf := l.read("/etc/resolv.conf"); !strings.Contains(conf, "nameserver 10.96.0.10\nsearch till.svc.cluster.local corp.example\n") {
		t.Errorf("resolv.conf: %s", conf)
	}

	// Refused, or failing in the middle: nothing of it stays.
	now := l.snapshot()
	bad := more
	bad.Routes = append(prefixes("10.33.0.0/16"), bad.Routes...)
	bad.Routes = append(bad.Routes, netip.MustParsePrefix("203.0.113.0/24"))
	s.refuses(handover.OpUpdate, bad, "203.0.113.6")
	bad = more
	bad.MTU = 1300
	bad.Addresses = prefixes("198.18.0.13/30", "198.18.0.10/30", "fd19::1/126")
	bad.Routes = prefixes("10.33.0.0/16", "10.96.0.0/12")
	bad.DNS.Ndots = 3
	l.sh("mount -t tmpfs -o ro tmpfs /etc")
	s.refuses(handover.OpUpdate, bad, "read-only")
	l.sh("umount /etc")
	l.becomes(now) // the kernel routes to an address a little after it is there

	// Without DNS the file comes back while the network stays.
	none := more
	none.DNS = handover.DNS{}
	if n := s.must(handover.OpUpdate, none); n.DNSMode != "" {
		t.Errorf("got %+v", n)
	}
	if conf := l.read("/etc/resolv.conf"); conf != ownConf {
		t.Errorf("resolv.conf: %s", conf)
	}
	s.kill(t, 9)
	l.becomes(before)
}

func TestWithoutIPv6(t *testing.T) {
	l := newLaptop(t)
	l.sh("echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6")
	l.serve()
	n := l.session().must(handover.OpOpen, config())
	if want := prefixes("fd18::1/126", "fd10::/112"); !slices.Equal(n.Skipped, want) {
		t.Errorf("skipped %v, want %v", n.Skipped, want)
	}
	if got, want := l.routes("intercept0"), []string{"10.244.0.0/16", "10.96.0.0/12"}; !slices.Equal(got, want) {
		t.Errorf("routes %v, want %v", got, want)
	}
}
