// Package subnet plans which addresses are routed into the cluster. A plan begins
// with the cluster's own networks, leaves out what must stay the laptop's, and
// gives virtual addresses to what clashes with the laptop's other routes.
package subnet

import (
	"fmt"
	"net/netip"
	"slices"

	"go4.org/netipx"
)

// Wanted is the input of a plan. Prefixes may overlap and need not be masked.
type Wanted struct {
	// Cluster are the networks of Services and pods, Also those that the user or
	// the operator adds.
	Cluster, Also []netip.Prefix
	// Never are networks that stay the laptop's.
	Never []netip.Prefix
	// Servers are addresses that must not be routed into the cluster: the API
	// server's, and that of a proxy in front of it.
	Servers []netip.Addr
	// Taken are networks that the laptop reaches in another way, by a VPN for
	// instance. What they share with the cluster's networks clashes.
	Taken []netip.Prefix
	// Allowed are networks that never clash although they are taken.
	Allowed []netip.Prefix
	// Virtual is where virtual addresses come from. It is routed if something
	// clashes. With External, its part for external addresses is always routed:
	// those are not the cluster's, and yet reached through it.
	Virtual  netip.Prefix
	External bool
}

// Plan says what is routed into the cluster.
type Plan struct {
	// Routes are the networks to route into the TUN, without overlaps.
	Routes []netip.Prefix
	// Clashing are networks of the cluster that appear under virtual addresses.
	Clashing []netip.Prefix

	cluster, clashing *netipx.IPSet
}

// Make returns the plan. The error names a prefix that cannot be routed.
func Make(w Wanted) (*Plan, error) {
	var all, kept, clash netipx.IPSetBuilder
	for _, p := range slices.Concat(w.Cluster, w.Also) {
		if p.Bits() == 0 {
			return nil, fmt.Errorf("%s would lead everything into the cluster", p)
		}
		all.AddPrefix(p.Masked())
	}
	for _, p := range w.Never {
		all.RemovePrefix(p.Masked())
	}
	for _, a := range w.Servers {
		all.Remove(a.Unmap())
	}
	cluster, err := all.IPSet()
	if err != nil {
		return nil, err
	}
	for _, p := range w.Taken {
		clash.AddPrefix(p.Masked())
	}
	for _, p := range w.Allowed {
		clash.RemovePrefix(p.Masked())
	}
	clash.Intersect(cluster)
	clashing, err := clash.IPSet()
	if err != nil {
		return nil, err
	}
	kept.AddSet(cluster)
	kept.RemoveSet(clashing)
	p := &Plan{Clashing: clashing.Prefixes(), cluster: cluster, clashing: clashing}
	if len(p.Clashing) > 0 {
		if !w.Virtual.IsValid() {
			return nil, fmt.Errorf("%s is used on this machine already; name a virtual subnet for it", p.Clashing[0])
		}
		kept.AddPrefix(w.Virtual.Masked())
	}
	if w.External && w.Virtual.IsValid() {
		kept.AddPrefix(External(w.Virtual))
	}
	routed, err := kept.IPSet()
	if err != nil {
		return nil, err
	}
	p.Routes = routed.Prefixes()
	return p, nil
}

// Contains says whether a real address belongs to the plan.
func (p *Plan) Contains(a netip.Addr) bool { return p.cluster.Contains(a.Unmap()) }

// Clashes says whether a real address appears under a virtual one.
func (p *Plan) Clashes(a netip.Addr) bool { return p.clashing.Contains(a.Unmap()) }
