package access

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"sync/atomic"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// ClusterNetwork is the cluster's network, as the Session object describes it.
type ClusterNetwork struct {
	// Domain is the cluster's DNS domain, without dots around it.
	Domain string
	// DNS are the name servers of pods.
	DNS []netip.Addr
	// Services and Pods hold the addresses of both.
	Services, Pods []netip.Prefix
	// The rest is what the operator wants. Virtual is not valid if that is left
	// to the machine.
	AlsoProxy, NeverProxy, AllowConflicting []netip.Prefix
	Virtual                                 netip.Prefix
	Include, Exclude                        []string
	// Mappings are names that stand for names of the cluster.
	Mappings map[string]string
}

// readNetwork understands an object's status.
func readNetwork(n *v1alpha1.SessionNetwork) (*ClusterNetwork, error) {
	c := &ClusterNetwork{Domain: n.ClusterDomain, Include: n.DNS.IncludeSuffixes, Exclude: n.DNS.ExcludeSuffixes, Mappings: map[string]string{}}
	for _, m := range n.DNS.Mappings {
		c.Mappings[m.Name] = m.AliasFor
	}
	for _, s := range n.DNSAddresses {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("the traffic-manager's dnsAddresses: %w", err)
		}
		c.DNS = append(c.DNS, a)
	}
	var virtual []netip.Prefix
	for _, f := range []struct {
		name string
		from []string
		to   *[]netip.Prefix
	}{
		{"serviceCIDRs", n.ServiceCIDRs, &c.Services}, {"podCIDRs", n.PodCIDRs, &c.Pods},
		{"routing.alsoProxySubnets", n.Routing.AlsoProxySubnets, &c.AlsoProxy},
		{"routing.neverProxySubnets", n.Routing.NeverProxySubnets, &c.NeverProxy},
		{"routing.allowConflictingSubnets", n.Routing.AllowConflictingSubnets, &c.AllowConflicting},
		{"routing.virtualSubnet", []string{n.Routing.VirtualSubnet}, &virtual},
	} {
		for _, s := range f.from {
			if s == "" {
				continue
			}
			p, err := netip.ParsePrefix(s)
			if err != nil {
				return nil, fmt.Errorf("the traffic-manager's %s: %w", f.name, err)
			}
			*f.to = append(*f.to, p.Masked())
		}
	}
	if len(virtual) > 0 {
		c.Virtual = virtual[0]
	}
	return c, nil
}

// Holds says whether an address is reached through the cluster. While nothing is known
// every address is.
func (c *ClusterNetwork) Holds(a netip.Addr) bool {
	if c == nil || len(c.Services)+len(c.Pods) == 0 {
		return true
	}
	in := func(list []netip.Prefix) bool {
		return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return (in(c.Services) || in(c.Pods) || in(c.AlsoProxy)) && !in(c.NeverProxy)
}

// Feed holds the latest ClusterNetwork. It is safe for concurrent use, but one goroutine
// alone calls Set.
type Feed struct{ now atomic.Pointer[snapshot] }

// snapshot is what was known at some time. It never changes.
type snapshot struct {
	told    *v1alpha1.SessionNetwork
	network *ClusterNetwork // nil before the first that is valid
	err     error           // why told is not valid
	changed chan struct{}   // closed when there is a later snapshot
}

// NewFeed returns a Feed without a network.
func NewFeed() *Feed {
	f := &Feed{}
	f.now.Store(&snapshot{changed: make(chan struct{})})
	return f
}

// Set takes what a Session object says. If that is not valid, the network before stays.
func (f *Feed) Set(n *v1alpha1.SessionNetwork) {
	before := f.now.Load()
	if n == nil || reflect.DeepEqual(n, before.told) {
		return
	}
	next := &snapshot{told: n, network: before.network, changed: make(chan struct{})}
	if read, err := readNetwork(n); err != nil {
		next.err = err
	} else {
		next.network = read
	}
	f.now.Store(next)
	close(before.changed)
}

// Last returns the latest network, which the caller must not change. It is nil if there is
// none.
func (f *Feed) Last() *ClusterNetwork { return f.now.Load().network }

var errNoNetwork = errors.New("the traffic-manager does not tell of the cluster's network: if it stays so, run kubectl intercept upgrade")

// wait returns the network once it is known.
func (f *Feed) wait(ctx context.Context) (*ClusterNetwork, error) {
	for {
		now := f.now.Load()
		switch {
		case now.network != nil:
			return now.network, nil
		case now.err != nil:
			return nil, now.err
		}
		select {
		case <-now.changed:
		case <-ctx.Done():
			return nil, errors.Join(errNoNetwork, ctx.Err())
		}
	}
}
