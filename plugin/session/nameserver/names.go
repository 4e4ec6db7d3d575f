package nameserver

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// place says who answers for a name.
type place int

const (
	laptop  place = iota // its former resolvers
	cluster              // the cluster, whatever it says
	perhaps              // the cluster if it knows one of the names, else the laptop
	mapped               // target stands for it
	local                // this machine itself
)

// route is where a question goes.
type route struct {
	place  place
	names  []string // full names to ask the cluster for, best first
	target string
}

func (r route) equal(o route) bool {
	return r.place == o.place && r.target == o.target && slices.Equal(r.names, o.names)
}

// names decides for all of them. It is not changed once made.
type names struct {
	domain     string
	search     []string // namespaces of names without one
	namespaces map[string]bool
	suffixes   map[string]bool // to include (true) or exclude
	outside    map[string]bool
	mappings   map[string]string
	cidrs      []netip.Prefix
	both       bool // the cluster has, or may have, addresses of both families
	translate  func(netip.Addr) netip.Addr
	restore    func(netip.Addr) netip.Addr
}

func newNames(c *Config) *names {
	n := &names{domain: clean(c.Domain), namespaces: map[string]bool{}, suffixes: map[string]bool{}, outside: map[string]bool{}, mappings: map[string]string{},
		cidrs: c.CIDRs, translate: c.Translate, restore: c.Restore}
	n.both = len(c.CIDRs) == 0 || slices.ContainsFunc(c.CIDRs, func(p netip.Prefix) bool { return p.Addr().Is6() })
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

// route decides for a full name, in lower case, with its last dot.
func (n *names) route(full string, t uint16) route {
	name := strings.TrimSuffix(full, ".")
	if n.outside[name] {
		return route{place: laptop}
	}
	if target, ok := n.mapping(name); ok {
		return route{place: mapped, target: target}
	}
	if below(name, "localhost") {
		return route{place: local}
	}
	if include, ok := n.suffix(name); ok {
		if include {
			return route{place: cluster, names: []string{full}}
		}
		return route{place: laptop}
	}
	if below(name, n.domain) {
		return route{place: cluster, names: []string{full}}
	}
	if below(name, "arpa") {
		return n.reverse(name)
	}
	labels := strings.Split(name, ".")
	last := len(labels) - 1
	if last > 0 && labels[last] == "svc" {
		return route{place: cluster, names: []string{full + n.domain + "."}}
	}
	if slices.Contains(labels, "") || strings.Contains(name, `\`) || !ofServices(t) {
		return route{place: laptop}
	}
	if last >= 2 && labels[0][0] == '_' && labels[1][0] == '_' {
		labels = labels[2:]
		last -= 2
	}
	svc := ".svc." + n.domain + "."
	switch {
	case last == 0 && len(n.search) > 0:
		r := route{place: perhaps}
		for _, ns := range n.search {
			r.names = append(r.names, full+ns+svc)
		}
		return r
	case (last == 1 || last == 2) && n.namespaces[labels[last]]:
		return route{place: perhaps, names: []string{name + svc}}
	}
	return route{place: laptop}
}

// mapping also finds the name that a program made from a mapped one with the
// search list.
func (n *names) mapping(name string) (string, bool) {
	if len(n.mappings) == 0 {
		return "", false
	}
	if target, ok := n.mappings[name]; ok || len(n.search) == 0 {
		return target, ok
	}
	short, ok := strings.CutSuffix(name, "."+n.search[0]+".svc."+n.domain)
	if !ok {
		return "", false
	}
	target, ok := n.mappings[short]
	return target, ok && target != name // it may stand for the Service itself
}

func (n *names) searchList() []string {
	if len(n.search) == 0 {
		return nil
	}
	list := Search(n.search[0], n.domain)
	for _, ns := range n.search[1:] {
		list = append(list, ns+".svc."+n.domain)
	}
	return list
}

// after are the names that follow one in the order of the search list, if that
// is the first and the name as a program knows it has a dot.
func (n *names) after(full string) []string {
	list := n.searchList()
	if len(list) == 0 {
		return nil
	}
	short, ok := strings.CutSuffix(full, "."+list[0]+".")
	if !ok || !strings.Contains(short, ".") {
		return nil
	}
	all := list[1:]
	for i, suffix := range all {
		all[i] = short + "." + suffix + "."
	}
	return all
}

// suffix finds the longest one that the name ends in.
func (n *names) suffix(name string) (include, ok bool) {
	for len(n.suffixes) > 0 {
		if include, ok = n.suffixes[name]; ok {
			return include, true
		}
		_, rest, more := strings.Cut(name, ".")
		if !more {
			break
		}
		name = rest
	}
	return false, false
}

// reverse decides for the name of an address.
func (n *names) reverse(name string) route {
	a, ok := addressOf(name)
	if !ok {
		return route{place: laptop}
	}
	real := n.restore(a)
	if real == a && n.translate(a) != a {
		return route{place: laptop} // the cluster's has another one here
	}
	if real == a && !slices.ContainsFunc(n.cidrs, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return route{place: laptop}
	}
	full, err := dns.ReverseAddr(real.String())
	if err != nil {
		return route{place: laptop}
	}
	return route{place: cluster, names: []string{full}}
}

// below says that name is zone or in it.
func below(name, zone string) bool {
	return name == zone || strings.HasSuffix(name, zone) && name[len(name)-len(zone)-1] == '.'
}

// ofServices are the types for which a short name can be a Service's; others,
// such as NS and DS of "com", are asked by resolvers.
func ofServices(t uint16) bool {
	switch t {
	case dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeTXT, dns.TypeMX, dns.TypeCNAME, dns.TypeSVCB, dns.TypeHTTPS:
		return true
	}
	return false
}
