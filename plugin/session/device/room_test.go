package device

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/subnet"
)

func prefixes(list ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, s := range list {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

func TestFree(t *testing.T) {
	for name, test := range map[string]struct {
		want  Want
		rooms []netip.Prefix
	}{
		"nothing there":    {Want{Networks: prefixes("10.96.0.0/16")}, room},
		"the API server":   {Want{Spare: []netip.Addr{netip.MustParseAddr("198.18.2.2")}}, room[1:]},
		"what is added":    {Want{Also: prefixes("198.19.7.0/24"), Networks: prefixes("198.18.0.0/24")}, room[2:]},
		"what is left out": {Want{Never: prefixes("198.18.0.0/15", "100.126.0.1/32")}, room[3:]},
		"everywhere":       {Want{Also: prefixes("198.18.0.0/15", "100.64.0.0/10")}, room},
	} {
		if got := free(&test.want); !slices.Equal(got, test.rooms) {
			t.Errorf("%s: %v, want %v", name, got, test.rooms)
		}
	}
}

// An address that was added while the virtual subnet was there already may lie
// in it.
func TestRealInVirtual(t *testing.T) {
	virtual := netip.MustParsePrefix("198.18.0.0/16")
	plan, err := subnet.Make(subnet.Wanted{Cluster: prefixes("10.96.0.0/16"), Also: prefixes("198.18.2.3/32"), Taken: prefixes("10.96.7.0/24"), Virtual: virtual})
	if err != nil {
		t.Fatal(err)
	}
	d := &Device{plan: plan, addrs: subnet.NewTranslator(virtual), virtual: virtual}
	clashing := netip.MustParseAddr("10.96.7.7")
	v := d.translate(clashing)
	for addr, want := range map[string]string{"198.18.2.3": "198.18.2.3", "10.96.0.1": "10.96.0.1", v.String(): clashing.String(), "198.18.2.4": ""} {
		got, ok := d.real(netip.MustParseAddr(addr))
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("%s is %s, %t; want %q", addr, got, ok, want)
		}
	}
}
