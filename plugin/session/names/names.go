// Package names decides which names belong to the cluster, and for which full
// name each of them stands.
//
// The name server behind the TUN (package nameserver) and the proxy on localhost
// (package proxyserver) both ask it, so that a name means the same to every
// program. It sends no queries itself. In this order:
//
//   - the API server's own name is the laptop's: the path to the cluster must
//     not lead through the cluster;
//   - a mapping stands for another name or an address;
//   - names below "localhost" are this machine's;
//   - the longest of the include and exclude suffixes says cluster or laptop;
//   - names below the cluster's domain and below "svc", and PTR names of addresses
//     in the cluster's networks, are the cluster's, whatever it answers;
//   - short names may be the cluster's: NAME, NAME.NAMESPACE and
//     POD.SERVICE.NAMESPACE. If the cluster does not know them, they are the
//     laptop's after all, as a namespace may be called "dev". Those that end in one of
//     the world's oldest domains, such as "com", never are;
//   - everything else is the laptop's and never goes to the cluster.
package names

import (
	"net/netip"
	"slices"
	"strings"
)

// Ndots is the option of a pod's resolv.conf: a name with fewer dots gets the
// search list first.
const Ndots = 5

// DefaultDomain is the cluster's domain unless the traffic-manager names another.
const DefaultDomain = "cluster.local"

// Config is what decides. Names may have dots around them and any spelling.
type Config struct {
	// Domain is the cluster's; Namespace is where names without one are.
	Domain, Namespace string
	// Intercepted are further namespaces of names without one, in order.
	Intercepted []string
	// Namespaces are those that NAME.NAMESPACE may name, besides the former.
	Namespaces []string

	// Include are suffixes of names that the cluster resolves, Exclude of those
	// that the laptop does. The longer one wins, Include among equals.
	Include, Exclude []string
	// Outside are names that the laptop resolves whatever the rest says.
	Outside []string
	// Mappings are names and what stands for them: a name or an address.
	Mappings map[string]string

	// Whole, if not nil, says that names mean what they mean in a pod, and none is the
	// laptop's but those of Outside and Exclude.
	Whole *Whole
	// InPod, if not nil, is the search list and ndots of a pod, in place of what pods of the
	// namespace usually have. All else is as without it.
	InPod *Whole

	// CIDRs are the networks of the cluster's Services and pods, for names of
	// addresses.
	CIDRs []netip.Prefix
	// Translate says under which address the laptop reaches one of the
	// cluster's, Restore is its inverse. Both return what they do not know as it
	// is; nil does so always. Without Restore there are no names for translated
	// addresses.
	Translate, Restore func(netip.Addr) netip.Addr
}

// Whole is a pod's resolv.conf, but for the name servers.
type Whole struct {
	Search []string
	Ndots  int
}

// Translates says that some addresses of the cluster have another one here.
func (c *Config) Translates() bool { return c.Translate != nil || c.Restore != nil }

// Names is a Config that is ready to decide. It never changes.
type Names struct {
	domain     string
	search     []string // namespaces of names without one
	namespaces map[string]bool
	suffixes   map[string]bool // to include (true) or exclude
	outside    map[string]bool
	mappings   map[string]string
	whole      *Whole
	inPod      *Whole
	cidrs      []netip.Prefix
	translate  func(netip.Addr) netip.Addr
	restore    func(netip.Addr) netip.Addr
}

// New prepares a Config.
func New(c Config) *Names {
	n := &Names{domain: clean(c.Domain), namespaces: map[string]bool{}, suffixes: map[string]bool{}, outside: map[string]bool{}, mappings: map[string]string{},
		whole: c.Whole, inPod: c.InPod, cidrs: c.CIDRs, translate: c.Translate, restore: c.Restore}
	if n.domain == "" {
		n.domain = DefaultDomain
	}
	same := func(a netip.Addr) netip.Addr { return a }
	if n.translate == nil {
		n.translate = same
	}
	if n.restore == nil {
		n.restore = same
	}
	for _, ns := range append([]string{c.Namespace}, c.Intercepted...) {
		if ns = clean(ns); ns != "" && !slices.Contains(n.search, ns) {
			n.search = append(n.search, ns)
			n.namespaces[ns] = true
		}
	}
	for _, ns := range c.Namespaces {
		if ns = clean(ns); ns != "" {
			n.namespaces[ns] = true
		}
	}
	for _, s := range c.Exclude {
		n.suffixes[clean(strings.TrimPrefix(s, "*"))] = false
	}
	for _, s := range c.Include {
		n.suffixes[clean(strings.TrimPrefix(s, "*"))] = true
	}
	delete(n.suffixes, "")
	for _, s := range c.Outside {
		if s = clean(s); s != "" && !below(s, "localhost") {
			n.outside[s] = true
		}
	}
	for name, target := range c.Mappings {
		if a, err := netip.ParseAddr(target); err == nil {
			target = a.Unmap().WithZone("").String()
		} else {
			target = clean(target)
		}
		n.mappings[clean(name)] = target
	}
	return n
}

// Domain is the cluster's, without dots around it.
func (n *Names) Domain() string { return n.domain }

// Namespace is where names without one are first.
func (n *Names) Namespace() string {
	if len(n.search) == 0 {
		return ""
	}
	return n.search[0]
}

// DualStack says that the cluster has, or may have, addresses of both families.
func (n *Names) DualStack() bool {
	return len(n.cidrs) == 0 || slices.ContainsFunc(n.cidrs, func(p netip.Prefix) bool { return p.Addr().Is6() })
}

// Translate is the address under which the laptop reaches one of the cluster's.
func (n *Names) Translate(a netip.Addr) netip.Addr { return n.translate(a) }

// clean is the form in which names are compared.
func clean(name string) string { return strings.ToLower(strings.Trim(name, ".")) }

// below says that name is zone or in it.
func below(name, zone string) bool {
	return name == zone || strings.HasSuffix(name, zone) && name[len(name)-len(zone)-1] == '.'
}
