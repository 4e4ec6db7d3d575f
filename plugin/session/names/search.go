package names

import (
	"slices"
	"strings"
)

// Search is the search list of a pod's resolv.conf.
func Search(namespace, domain string) []string {
	domain = clean(domain)
	svc := "svc." + domain
	return []string{clean(namespace) + "." + svc, svc, domain}
}

// SearchList is the search list of programs on the laptop: that of a pod, and
// then the namespaces with intercepts, for resolvers that do not send a name
// without a dot as it is, such as systemd-resolved.
func (n *Names) SearchList() []string {
	if n.whole != nil {
		return n.whole.Search
	}
	if n.inPod != nil {
		return n.inPod.Search
	}
	if len(n.search) == 0 {
		return nil
	}
	list := Search(n.search[0], n.domain)
	for _, ns := range n.search[1:] {
		list = append(list, ns+".svc."+n.domain)
	}
	return list
}

// Dots is the option ndots of programs on the laptop.
func (n *Names) Dots() int {
	if n.whole != nil {
		return n.whole.Ndots
	}
	if n.inPod != nil {
		return n.inPod.Ndots
	}
	return Ndots
}

// Siblings are the further names that a program makes of one with the search
// list. Full is the first that it made; there are none if the name that the
// program knows has no dot.
func (n *Names) Siblings(full string) []string {
	list := n.SearchList()
	if len(list) == 0 {
		return nil
	}
	short, ok := strings.CutSuffix(full, "."+list[0]+".")
	if !ok || !strings.Contains(short, ".") {
		return nil
	}
	all := slices.Clone(list[1:])
	for i, suffix := range all {
		all[i] = short + "." + suffix + "."
	}
	return all
}

// Domains are the suffixes of the names that the name server should be asked for
// where the system's resolver can send only some: the cluster's, those included,
// and the networks' reverse zones. Names without a dot are not among them, nor
// exclusions, for which the name server asks the laptop's resolvers.
func (n *Names) Domains() []string {
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
	for _, p := range n.cidrs {
		all = append(all, reverseZones(p)...)
	}
	slices.Sort(all[2:])
	return slices.Compact(all)
}
