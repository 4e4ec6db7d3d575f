package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestCompact(t *testing.T) {
	for in, want := range map[string]string{
		"":                          "",
		"10.0.1.0/24 10.0.0.0/24":   "10.0.0.0/23",
		"10.0.2.0/24 10.0.1.0/24":   "10.0.1.0/24 10.0.2.0/24", // no halves of one range
		"10.0.0.0/16 10.0.7.0/24":   "10.0.0.0/16",
		"10.0.7.9/16":               "10.0.0.0/16",
		"10.0.0.0/24 10.0.0.0/24":   "10.0.0.0/24",
		"fd00::/64 10.0.0.0/24":     "10.0.0.0/24 fd00::/64",
		"fd00:0:0:1::/64 fd00::/64": "fd00::/63",
		"0.0.0.0/0 10.0.0.0/8":      "0.0.0.0/0",
		"10.0.0.0/25 10.0.0.128/25 10.0.1.0/24 10.0.2.0/23": "10.0.0.0/22",
	} {
		if got := strings.Join(texts(compact(prefixes(strings.Fields(in)...))), " "); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// However many blocks there are, machines get few ranges, which hold all of
// them and stop short of whole networks.
func TestRangesAreBounded(t *testing.T) {
	var many []netip.Prefix
	for i := range 200 { // every other /24
		many = append(many, netip.MustParsePrefix(fmt.Sprintf("10.%d.%d.0/24", i/50, i%50*2)))
	}
	got := ranges(many)
	if len(got) > maxRanges {
		t.Errorf("%d ranges", len(got))
	}
	for _, p := range many {
		if !slices.ContainsFunc(got, func(r netip.Prefix) bool { return r.Contains(p.Addr()) }) {
			t.Errorf("%s is lost", p)
		}
	}
	blocks := 0
	for _, p := range got {
		blocks += 1 << (24 - p.Bits())
	}
	if blocks > 2*len(many) {
		t.Errorf("%v is wider than needed", got)
	}
	many = nil
	for i := range 250 { // far apart: nothing is gained by more than a /16
		many = append(many, netip.MustParsePrefix(fmt.Sprintf("%d.77.3.0/24", i+1)))
	}
	got = ranges(many)
	if len(got) != 250 || got[0] != netip.MustParsePrefix("1.77.0.0/16") {
		t.Errorf("%d ranges such as %s", len(got), got[0])
	}
}

func TestKind(t *testing.T) {
	k := newKind()
	steps := []struct {
		what    string
		changed bool
		got     bool
	}{}
	note := func(what string, want, got bool) {
		steps = append(steps, struct {
			what         string
			changed, got bool
		}{what, want, got})
	}
	note("a node", true, k.declare("a", []string{"10.244.0.0/24", "fd00:1::/64"}))
	note("it again", false, k.declare("a", []string{"10.244.0.0/24", "fd00:1::/64"}))
	note("a node without", false, k.declare("b", nil))
	note("a pod in it", false, k.see("10.244.0.9"))
	note("its other address", false, k.see("fd00:1::9"))
	note("a pod elsewhere", true, k.see("172.20.5.9"))
	note("another there", false, k.see("172.20.5.10"))
	note("IPv4 in IPv6", false, k.see("::ffff:172.20.5.11"))
	note("IPv6 elsewhere", true, k.see("fd00:2::9"))
	note("headless", false, k.see("None"))
	note("no address", false, k.see(""))
	for _, s := range steps {
		if s.changed != s.got {
			t.Errorf("%s: changed %v, want %v", s.what, s.got, s.changed)
		}
	}
	if got, want := k.ranges(), []string{"10.244.0.0/24", "172.20.5.0/24", "fd00:1::/64", "fd00:2::/64"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if !k.declare("b", []string{"10.244.1.0/24", "nonsense"}) || !k.declare("c", []string{"172.20.0.0/16"}) || !k.declare("a", nil) || k.declare("a", nil) {
		t.Error("nodes come and go without a change")
	}
	if got, want := k.ranges(), []string{"10.244.1.0/24", "172.20.0.0/16", "fd00:2::/64"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
