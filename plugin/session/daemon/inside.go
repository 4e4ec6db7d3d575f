package daemon

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/device"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// manyNamespaces is as many as are asked for; in a cluster with more, the
// others are reached by longer names.
const manyNamespaces = 1000

// inside is what lies behind a TUN now: what the traffic-manager says of the
// cluster, and what was wanted on the command line.
func (p *process) inside(ctx context.Context, want *state.Device) (*device.Want, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	p.mu.Lock()
	c, table := p.client, p.table
	p.mu.Unlock()
	if table == nil {
		return nil, errNotConnected
	}
	n, err := p.cluster.wait(ctx)
	if err != nil {
		return nil, err
	}
	w := &device.Want{Namespace: want.Namespace, Domain: n.Domain, Networks: slices.Concat(n.Services, n.Pods),
		Also: slices.Concat(n.AlsoProxy, want.Also), Never: slices.Concat(n.NeverProxy, want.Never),
		Allowed: slices.Concat(n.AllowConflicting, want.Allowed), Virtual: want.Virtual, Spare: p.spare(ctx),
		Include: n.Include, Exclude: n.Exclude, Outside: names(p.hosts()), Mappings: n.Mappings, Namespaces: p.namespaces(ctx, c)}
	if !w.Virtual.IsValid() {
		w.Virtual = n.Virtual
	}
	for _, key := range table.Keys() {
		if key.Namespace != want.Namespace && !slices.Contains(w.Intercepted, key.Namespace) {
			w.Intercepted = append(w.Intercepted, key.Namespace)
		}
	}
	return w, nil
}

// learnt is what holds on while nobody answers.
type learnt struct {
	mu         sync.Mutex
	namespaces []string
	servers    map[string][]netip.Addr // by name
	spare      []netip.Addr
}

// known are the addresses of the last spare.
func (p *process) known() []netip.Addr {
	p.learnt.mu.Lock()
	defer p.learnt.mu.Unlock()
	return p.learnt.spare
}

// namespaces are all that there are, if the user may know them.
func (p *process) namespaces(ctx context.Context, c client.Reader) []string {
	list := metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	l := &p.learnt
	if err := c.List(ctx, &list, client.Limit(manyNamespaces)); err != nil {
		p.log.Debug("namespaces are not known", "error", err)
		l.mu.Lock()
		defer l.mu.Unlock()
		if apierrors.IsForbidden(err) {
			l.namespaces = nil
		}
		return l.namespaces
	}
	var names []string
	for _, n := range list.Items {
		names = append(names, n.Name)
	}
	slices.Sort(names)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.namespaces = names
	return names
}

// hosts are the API server, and a proxy in front of it.
func (p *process) hosts() []string {
	cfg := p.source.Config()
	u, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return nil
	}
	list := []string{u.Hostname()}
	if via, err := carrier.ProxyOf(cfg)(&http.Request{URL: u}); err == nil && via != nil {
		list = append(list, via.Hostname())
	}
	return list
}

// names are those hosts that are not addresses.
func names(hosts []string) (list []string) {
	for _, h := range hosts {
		if _, err := netip.ParseAddr(h); err != nil {
			list = append(list, h)
		}
	}
	return list
}

// spare are the addresses of hosts.
func (p *process) spare(ctx context.Context) []netip.Addr {
	var list []netip.Addr
	for _, h := range p.hosts() {
		if a, err := netip.ParseAddr(h); err == nil {
			list = append(list, a.Unmap())
			continue
		}
		list = append(list, p.resolve(ctx, h)...)
	}
	slices.SortFunc(list, netip.Addr.Compare)
	list = slices.Compact(list)
	p.learnt.mu.Lock()
	defer p.learnt.mu.Unlock()
	p.learnt.spare = list
	return list
}

// resolve finds a host's addresses, or says what it had before.
func (p *process) resolve(ctx context.Context, host string) []netip.Addr {
	// While the TUN is there, its name server asks the former resolvers.
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	l := &p.learnt
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		p.log.Debug("the API server's address is not known", "host", host, "error", err)
		return l.servers[host]
	}
	for i := range found {
		found[i] = found[i].Unmap()
	}
	if l.servers == nil {
		l.servers = map[string][]netip.Addr{}
	}
	l.servers[host] = found
	return found
}
