package nameserver

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Exchanger asks the cluster's name server. An error means that there is no
// answer to wait for; it must come at once when the cluster is out of reach.
// The message is not changed and not kept.
type Exchanger interface {
	Exchange(ctx context.Context, q *dns.Msg) (*dns.Msg, error)
}

// Ndots is what a pod's resolv.conf says.
const Ndots = 5

// DefaultDomain is the cluster's domain if nobody says otherwise.
const DefaultDomain = "cluster.local"

// Config says what a Server knows. Names may have dots around them and any
// spelling.
type Config struct {
	// Cluster answers for the cluster's names.
	Cluster Exchanger
	// Upstream are the laptop's own resolvers, in the order in which to ask.
	Upstream []netip.AddrPort

	// Domain is the cluster's; Namespace is where names without one are.
	Domain, Namespace string
	// Intercepted are further namespaces of names without one, in order.
	Intercepted []string
	// Namespaces are those that NAME.NAMESPACE may name, besides the former.
	Namespaces []string

	// Include are suffixes of names that the cluster resolves, Exclude of those
	// that the laptop does. The longer one wins, Include among equals.
	Include, Exclude []string
	// Outside are names that the laptop resolves whatever all the rest says: the
	// way to the cluster must not lead through the cluster.
	Outside []string
	// Mappings are names and what stands for them: a name or an address.
	Mappings map[string]string

	// CIDRs are the cluster's Services and pods, for names of addresses.
	CIDRs []netip.Prefix
	// Translate says under which address the laptop reaches one of the
	// cluster's, Restore is its inverse. Both return what they do not know as it
	// is; nil does so always. Without Restore there are no names for translated
	// addresses.
	Translate, Restore func(netip.Addr) netip.Addr
	// Around says under which address the laptop reaches one that the cluster
	// gives for a name of its own and that is not in CIDRs. It returns those
	// that the laptop dials itself as they are; nil does so always.
	Around func(netip.Addr) netip.Addr
}

// Search is the search list of a pod's resolv.conf.
func Search(namespace, domain string) []string {
	domain = clean(domain)
	svc := "svc." + domain
	return []string{clean(namespace) + "." + svc, svc, domain}
}

// Search is the search list of programs on the laptop: that of a pod, and then
// the namespaces with intercepts, for resolvers that do not send a name without
// a dot as it is, such as systemd-resolved.
func (c Config) Search() []string { return newNames(&c).searchList() }

// Domains are the suffixes of the names that a Server should be asked for where
// the system's resolver can send only some: the cluster's, those included, and
// the networks' reverse zones. Names without a dot are not among them, nor
// exclusions, for which the server asks the laptop's resolvers.
func (c Config) Domains() []string {
	n := newNames(&c)
	all := []string{n.domain, "svc"}
	for ns := range n.namespaces {
		all = append(all, ns)
	}
	for suffix, include := range n.suffixes {
		if include {
			all = append(all, suffix)
		}
	}
	for name := range n.mappings {
		all = append(all, name)
	}
	for _, p := range c.CIDRs {
		all = append(all, reverseZones(p)...)
	}
	slices.Sort(all[2:])
	return slices.Compact(all)
}

// clean is the form in which names are compared.
func clean(name string) string { return strings.ToLower(strings.Trim(name, ".")) }
