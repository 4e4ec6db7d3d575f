package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"sync"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// clusterNetwork is the cluster's network, as the Session object tells of it.
type clusterNetwork struct {
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

// readClusterNetwork understands an object's status.
func readClusterNetwork(n *v1alpha1.SessionNetwork) (*clusterNetwork, error) {
	c := &clusterNetwork{Domain: n.ClusterDomain, Include: n.DNS.IncludeSuffixes, Exclude: n.DNS.ExcludeSuffixes, Mappings: map[string]string{}}
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

// holds says whether an address is reached through the cluster, which is the
// case of all while nothing is known.
func (c *clusterNetwork) holds(a netip.Addr) bool {
	if c == nil || len(c.Services)+len(c.Pods) == 0 {
		return true
	}
	in := func(list []netip.Prefix) bool {
		return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return (in(c.Services) || in(c.Pods) || in(c.AlsoProxy)) && !in(c.NeverProxy)
}

// clusterFeed holds the last clusterNetwork. The zero value has none; it is
// safe for concurrent use.
type clusterFeed struct {
	mu      sync.Mutex
	told    *v1alpha1.SessionNetwork
	now     *clusterNetwork
	err     error
	changed chan struct{}
}

// set takes what an object tells.
func (f *clusterFeed) set(n *v1alpha1.SessionNetwork) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n == nil || reflect.DeepEqual(n, f.told) {
		return
	}
	f.told = n
	if now, err := readClusterNetwork(n); err != nil {
		f.err = err // what there was goes on
	} else {
		f.now, f.err = now, nil
	}
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

// get returns the last network, which the caller must not change, nil if there
// is none, and a channel that is closed when there is another.
func (f *clusterFeed) get() (*clusterNetwork, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changed == nil {
		f.changed = make(chan struct{})
	}
	return f.now, f.changed
}

var errNoClusterNetwork = errors.New("the traffic-manager does not tell of the cluster's network: if it stays so, run kubectl intercept upgrade")

// wait returns the network once it is known.
func (f *clusterFeed) wait(ctx context.Context) (*clusterNetwork, error) {
	for {
		n, changed := f.get()
		if n != nil {
			return n, nil
		}
		f.mu.Lock()
		err := f.err
		f.mu.Unlock()
		if err != nil {
			return nil, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, errors.Join(errNoClusterNetwork, ctx.Err())
		}
	}
}
