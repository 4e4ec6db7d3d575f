package device

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/subnet"
)

const (
	mtu = 1500
	// maxReplans is how often a refused plan is made again without what was
	// refused.
	maxReplans = 16
	// maxDomains is how many domains a resolver is told.
	maxDomains = 200
)

// virtualSubnets are where virtual addresses come from: networks for measurements
// (RFC 2544), then parts of the one for carriers' NAT (RFC 6598), which nobody
// routes.
var virtualSubnets = []netip.Prefix{
	netip.MustParsePrefix("198.18.0.0/16"),
	netip.MustParsePrefix("198.19.0.0/16"),
	netip.MustParsePrefix("100.126.0.0/16"),
	netip.MustParsePrefix("100.91.0.0/16"),
}

// ownIPv6 is the TUN's IPv6 address, with its network (RFC 4193).
var ownIPv6 = netip.MustParsePrefix("fd6b:6963:7470:1::1/64")

// layout is what is routed into the TUN, and under which addresses. It never changes;
// an update makes another one.
type layout struct {
	want    Want
	taken   []netip.Prefix // what was refused so far
	plan    *subnet.Plan
	virtual netip.Prefix
	addrs   *subnet.Translator
	network handover.Network
}

// dns is the address at which programs find the name server.
func (l layout) dns() netip.Addr { return dnsAddress(l.virtual) }

func dnsAddress(virtual netip.Prefix) netip.Addr { return virtual.Addr().Next().Next() }

// replan makes plans and calls ask with each until that does not refuse it. That plan
// becomes the layout.
func (d *Device) replan(want Want, ask func(handover.Config) (*handover.Network, error)) error {
	d.mu.RLock()
	taken, virtual, external := slices.Clone(d.layout.taken), d.layout.virtual, d.externalWanted
	d.mu.RUnlock()
	subnets := freeSubnets(&want)
	switch {
	case want.Virtual.IsValid():
		subnets = []netip.Prefix{want.Virtual.Masked()}
	case virtual.IsValid():
		subnets = []netip.Prefix{virtual} // programs know its addresses
	}
	for range maxReplans {
		plan, err := subnet.Make(subnet.Wanted{Cluster: want.Networks, Also: want.Also, Never: want.Never, Servers: want.Servers,
			Taken: taken, Allowed: want.Allowed, Virtual: subnets[0], External: external})
		if err != nil {
			return err
		}
		n, err := ask(want.request(plan, subnets[0]))
		var refused *handover.RefusedError
		if errors.As(err, &refused) {
			more, full := conflicts(refused, subnets[0])
			if full && len(subnets) == 1 || !full && len(more) == 0 {
				return err
			}
			if full {
				subnets = subnets[1:]
			}
			taken = append(taken, more...)
			continue
		}
		if err != nil {
			return err
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		addrs := d.layout.addrs
		if addrs == nil || d.layout.virtual != subnets[0] {
			addrs = subnet.NewTranslator(subnets[0])
		}
		d.layout = layout{want: want, taken: taken, plan: plan, virtual: subnets[0], addrs: addrs, network: *n}
		return nil
	}
	return errors.New("this machine's routes clash with the cluster's in too many places; name a --virtual-subnet or --never-proxy")
}

// freeSubnets are the virtual subnets that do not overlap with what shall be reached
// by its own address. If none is free, they are all.
func freeSubnets(w *Want) []netip.Prefix {
	used := slices.Concat(w.Networks, w.Also, w.Never)
	for _, a := range w.Servers {
		used = append(used, netip.PrefixFrom(a, a.BitLen()))
	}
	free := slices.DeleteFunc(slices.Clone(virtualSubnets), func(v netip.Prefix) bool { return slices.ContainsFunc(used, v.Overlaps) })
	if len(free) == 0 {
		return virtualSubnets
	}
	return free
}

// conflicts returns the networks that a refusal says are taken, and whether the
// virtual subnet is.
func conflicts(refused *handover.RefusedError, virtual netip.Prefix) (taken []netip.Prefix, virtualTaken bool) {
	for _, c := range refused.Conflicts {
		if c.Route.Overlaps(virtual) {
			virtualTaken = true
			continue
		}
		taken = append(taken, c.With)
	}
	return taken, virtualTaken
}

// request is what the maker of the TUN is asked for.
func (w *Want) request(plan *subnet.Plan, virtual netip.Prefix) handover.Config {
	own := netip.PrefixFrom(virtual.Addr().Next(), max(virtual.Bits(), virtual.Addr().BitLen()-4))
	n := names.New(w.names())
	c := handover.Config{MTU: mtu, Addresses: []netip.Prefix{own}, Routes: plan.Routes, KeepReachable: w.Servers, AllowConflicting: w.Allowed,
		DNS: handover.DNS{Server: dnsAddress(virtual), Search: n.SearchList(), Domains: firstDomains(w.Names.Namespace, n.Domains()), Ndots: n.Dots()}}
	if slices.ContainsFunc(plan.Routes, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		c.Addresses = append(c.Addresses, ownIPv6)
	}
	return c
}

// firstDomains are at most maxDomains. If there are more, the namespace is among
// them.
func firstDomains(namespace string, all []string) []string {
	if len(all) <= maxDomains {
		return all
	}
	return append([]string{namespace}, all[:maxDomains-1]...)
}
