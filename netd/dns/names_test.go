package dns

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

func TestRules(t *testing.T) {
	d := handover.DNS{Domains: []string{"cluster.local.", "shop"}, Search: []string{"Shop", "svc.cluster.local"}}
	if got, want := rules(d), []string{".cluster.local", ".shop", ".svc.cluster.local"}; len(got) != 1 || !slices.Equal(got[0], want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for i := range 2*ruleNames - 2 {
		d.Domains = append(d.Domains, fmt.Sprintf("ns%d", i))
	}
	if got := rules(d); len(got) != 3 || len(got[0]) != ruleNames || len(got[2]) != 1 {
		t.Errorf("got %d rules", len(got))
	}
	if got := rules(handover.DNS{}); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}

func TestRuleOwner(t *testing.T) {
	for key, want := range map[string]string{rulePrefix + "intercept0-2": "intercept0", "{0c7b0a9f-0000}": "", rulePrefix: ""} {
		if got := ruleOwner(key); got != want {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
}

func TestSearch(t *testing.T) {
	d := handover.DNS{Server: netip.MustParseAddr("198.18.0.2"), Search: []string{"shop.svc.cluster.local", "svc.cluster.local"}}
	want := "d.init\nd.add ServerAddresses * 198.18.0.2\nd.add SupplementalMatchDomains * shop.svc.cluster.local svc.cluster.local\n" +
		"set State:/Network/Service/kubectl-intercept-utun400/DNS\n"
	if got := searchScript("utun400", d); got != want {
		t.Errorf("got %s", got)
	}
	listed := "  subKey [0] = State:/Network/Service/kubectl-intercept-utun400/DNS\n  subKey [1] = State:/Network/Service/kubectl-intercept-utun4010/DNS\n"
	if got, want := searchOwners(listed), []string{"utun400", "utun4010"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := searchOwners("  no keys.\n"); got != nil {
		t.Errorf("got %q", got)
	}
}
