package names

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Source is what answers for a name.
type Source int

// The sources of answers.
const (
	// Laptop: the resolvers that the laptop had before.
	Laptop Source = iota
	// Cluster: the cluster's name server, whatever it answers.
	Cluster
	// ClusterFirst: the cluster's name server, and if it knows none of the full
	// names, the laptop's resolvers.
	ClusterFirst
	// Mapping: the name or address in Route.Target stands for the name.
	Mapping
	// Localhost: the name is this machine's.
	Localhost
)

// Route says what answers for a name.
type Route struct {
	Source Source
	// Full are the names to ask the cluster for, the best first.
	Full []string
	// Target is what a mapping stands for.
	Target string
}

// Equal says that both routes get their answers in the same way.
func (r Route) Equal(o Route) bool {
	return r.Source == o.Source && r.Target == o.Target && slices.Equal(r.Full, o.Full)
}

// Route decides for a query: a full name, in lower case, with its last dot.
func (n *Names) Route(full string, qtype uint16) Route {
	name := strings.TrimSuffix(full, ".")
	if r, ok := n.certain(name); ok {
		return r
	}
	if n.whole != nil {
		return Route{Source: Cluster, Full: []string{full}}
	}
	if below(name, "arpa") {
		return n.reverse(name)
	}
	labels := strings.Split(name, ".")
	if slices.Contains(labels, "") || strings.Contains(name, `\`) || !ofServices(qtype) {
		return Route{Source: Laptop}
	}
	if len(labels) > 2 && labels[0][0] == '_' && labels[1][0] == '_' {
		labels = labels[2:]
	}
	switch last := len(labels) - 1; {
	case last == 0 && len(n.search) > 0:
		return n.inSearchList(full)
	case (last == 1 || last == 2) && n.namespaces[labels[last]] && !n.isWorld(labels[last]):
		return Route{Source: ClusterFirst, Full: []string{n.service(full)}}
	}
	return Route{Source: Laptop}
}

// RouteHost decides for a host as a program names it to a proxy. No resolver has
// applied a search list to it, so this does, as a pod's resolver would; which
// namespaces there are need not be known.
func (n *Names) RouteHost(host string) Route {
	name := strings.TrimSuffix(strings.ToLower(host), ".")
	labels := strings.Split(name, ".")
	if slices.Contains(labels, "") {
		return Route{Source: Laptop}
	}
	if r, ok := n.certain(name); ok {
		return r
	}
	full := name + "."
	switch {
	case n.whole != nil:
		return n.whole.route(full, strings.HasSuffix(host, "."))
	case strings.HasSuffix(host, "."): // a search list is not for such names
	case len(labels) == 1 && len(n.search) > 0:
		return n.inSearchList(full)
	case n.isWorld(labels[len(labels)-1]):
		return Route{Source: Laptop}
	case len(labels) == 2 && len(n.search) > 0: // a Service and its namespace, or a pod of a headless Service
		return Route{Source: ClusterFirst, Full: []string{n.service(full), n.service(full + n.search[0] + ".")}}
	case len(labels) == 2 || len(labels) == 3:
		return Route{Source: ClusterFirst, Full: []string{n.service(full)}}
	}
	return Route{Source: Laptop}
}

// route is that of a host as the pod's own resolver would look it up: see resolv.conf(5).
func (w *Whole) route(full string, absolute bool) Route {
	r := Route{Source: Cluster, Full: []string{full}}
	if absolute {
		return r
	}
	for n, s := range w.Search {
		expanded := full + s + "."
		if dots := strings.Count(full, ".") - 1; dots < w.Ndots {
			r.Full = slices.Insert(r.Full, n, expanded)
		} else {
			r.Full = append(r.Full, expanded)
		}
	}
	return r
}

// Foreign says that a host is taken for one of the world outside while the cluster
// cannot be asked: it may be either's, and does not end in a namespace that is
// known.
func (n *Names) Foreign(host string) bool {
	name := clean(host)
	namespace := name[strings.LastIndexByte(name, '.')+1:]
	return n.RouteHost(host).Source == ClusterFirst && namespace != name && !n.namespaces[namespace]
}

// certain decides for what needs no guess, without its last dot.
func (n *Names) certain(name string) (r Route, ok bool) {
	if n.outside[name] {
		return Route{Source: Laptop}, true
	}
	if target, ok := n.mapping(name); ok {
		return Route{Source: Mapping, Target: target}, true
	}
	if below(name, "localhost") {
		return Route{Source: Localhost}, true
	}
	if include, ok := n.suffix(name); ok {
		if include {
			return Route{Source: Cluster, Full: []string{name + "."}}, true
		}
		return Route{Source: Laptop}, true
	}
	if below(name, n.domain) {
		return Route{Source: Cluster, Full: []string{name + "."}}, true
	}
	if name != "svc" && below(name, "svc") {
		return Route{Source: Cluster, Full: []string{name + "." + n.domain + "."}}, true
	}
	return Route{}, false
}

// isWorld says that a name which ends so is one of the world, although a namespace may be
// called so, too: whoever made a namespace "com" would have the example.com of everybody. Its
// names end in ".com.svc". The namespaces of names without one are an exception.
func (n *Names) isWorld(last string) bool {
	return slices.Contains([]string{"arpa", "biz", "com", "edu", "gov", "info", "int", "mil", "net", "org"}, last) && !slices.Contains(n.search, last)
}

// service is the name of a Service, or of what belongs to one, with the cluster's
// domain.
func (n *Names) service(short string) string { return short + "svc." + n.domain + "." }

// inSearchList is the route of a name without a namespace.
func (n *Names) inSearchList(full string) Route {
	r := Route{Source: ClusterFirst}
	for _, ns := range n.search {
		r.Full = append(r.Full, n.service(full+ns+"."))
	}
	return r
}

// mapping also finds the name that a program made from a mapped one with the
// search list.
func (n *Names) mapping(name string) (string, bool) {
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

// suffix finds the longest one that the name ends in.
func (n *Names) suffix(name string) (include, ok bool) {
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
func (n *Names) reverse(name string) Route {
	a, ok := addressOf(name)
	if !ok {
		return Route{Source: Laptop}
	}
	real := n.restore(a)
	if real == a && n.translate(a) != a {
		return Route{Source: Laptop} // the cluster's has another one here
	}
	if real == a && !slices.ContainsFunc(n.cidrs, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return Route{Source: Laptop}
	}
	full, err := dns.ReverseAddr(real.String())
	if err != nil {
		return Route{Source: Laptop}
	}
	return Route{Source: Cluster, Full: []string{full}}
}

// ofServices are the types for which a short name can be a Service's; others,
// such as NS and DS of "com", are asked by resolvers.
func ofServices(qtype uint16) bool {
	switch qtype {
	case dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeTXT, dns.TypeMX, dns.TypeCNAME, dns.TypeSVCB, dns.TypeHTTPS:
		return true
	}
	return false
}
