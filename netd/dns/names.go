package dns

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

// What macOS and Windows are told, here where it is tested on any system.

const (
	// rulePrefix begins the keys of our rules on Windows; the name of the
	// device and a number follow.
	rulePrefix = "kubectl-intercept-"
	// ruleNames is how many names Windows takes in one rule.
	ruleNames = 50
	// services holds what macOS knows of each network service; ours have this
	// prefix, then the name of the device.
	services = "State:/Network/Service/kubectl-intercept-"
)

// rules are the names of each rule.
func rules(d handover.DNS) [][]string {
	var names []string
	for _, domain := range slices.Concat(d.Domains, d.Search) {
		if n := "." + strings.ToLower(strings.TrimSuffix(domain, ".")); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return slices.Collect(slices.Chunk(names, ruleNames))
}

// ruleOwner is the device that a rule is for; "" if it is not ours.
func ruleOwner(key string) string {
	rest, ours := strings.CutPrefix(key, rulePrefix)
	if !ours {
		return ""
	}
	device, _, _ := strings.Cut(rest, "-")
	return device
}

// searchScript tells scutil(8) to have names searched in domains. That is what
// domains of a supplemental resolver are for, beside leading to it.
func searchScript(device string, d handover.DNS) string {
	return fmt.Sprintf("d.init\nd.add ServerAddresses * %s\nd.add SupplementalMatchDomains * %s\nset %s%s/DNS\n",
		d.Server, strings.Join(d.Search, " "), services, device)
}

// searchOwners are the devices that scutil has listed.
func searchOwners(listed string) (devices []string) {
	for line := range strings.Lines(listed) {
		if _, rest, ours := strings.Cut(line, services); ours {
			device, _, _ := strings.Cut(rest, "/")
			devices = append(devices, device)
		}
	}
	return devices
}
