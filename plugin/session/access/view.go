package access

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/device"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// manyNamespaces is as many namespaces as are asked for. In a cluster with more, the
// others are reached by longer names.
const manyNamespaces = 1000

// networkWait is how long a program that uses a proxy waits until the cluster's network
// is known.
const networkWait = 2 * time.Second

// Cluster is what an Access asks about the cluster.
type Cluster struct {
	// Feed has the cluster's network.
	Feed *Feed
	// Reader lists namespaces.
	Reader client.Reader
	// Config returns the way to the API server.
	Config func() *rest.Config
	// Domain returns the cluster's DNS domain, as the traffic-manager told it to a carrier.
	Domain func() string
	// Intercepts returns the session's intercepts.
	Intercepts func() []types.NamespacedName
}

// clusterView is what is known about the cluster. It is safe for concurrent use.
type clusterView struct {
	Cluster

	via        func(intercept string) PodNetwork
	server     *apiServer
	log        *slog.Logger
	namespaces atomic.Pointer[[]string] // when they were last listed
}

// want is what shall lie behind a TUN now: what the traffic-manager says about the
// cluster, and what was asked for on the command line.
func (v *clusterView) want(ctx context.Context, asked *state.Device) (*device.Want, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	n, err := v.Feed.wait(ctx)
	if err != nil {
		return nil, err
	}
	w := &device.Want{Names: v.names(n, asked.Namespace), Networks: slices.Concat(n.Services, n.Pods),
		Also: slices.Concat(n.AlsoProxy, asked.Also), Never: slices.Concat(n.NeverProxy, asked.Never),
		Allowed: slices.Concat(n.AllowConflicting, asked.Allowed), Virtual: asked.Virtual, Servers: v.server.lookup(ctx)}
	w.Names.Namespaces = v.listNamespaces(ctx)
	if !w.Virtual.IsValid() {
		w.Virtual = n.Virtual
	}
	aliases, err := v.asInPod(ctx, &w.Names, asked.Via, asked.Isolated)
	if !asked.Isolated { // else all that there is lies behind the TUN
		w.Also = slices.Concat(w.Also, outside(aliases, w.Networks))
	}
	return w, err
}

// outside returns the addresses that are in none of the networks, as networks, sorted.
func outside(addresses map[string]netip.Addr, networks []netip.Prefix) []netip.Prefix {
	var all []netip.Prefix
	for _, a := range addresses {
		if a = a.Unmap(); !slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) }) {
			all = append(all, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all)
}

// asInPod changes what names mean to what they mean in the pod of an intercept, if access is
// by one. Whole says that this is about all names, and not about the cluster's alone. It
// returns the addresses that the pod's hosts file has.
func (v *clusterView) asInPod(ctx context.Context, c *names.Config, via string, whole bool) (map[string]netip.Addr, error) {
	if via == "" {
		return nil, nil
	}
	pod, err := v.via(via).Names(ctx)
	if err != nil {
		return nil, err
	}
	aliases := pod.Addresses()
	c.Mappings = maps.Clone(c.Mappings)
	if c.Mappings == nil {
		c.Mappings = map[string]string{}
	}
	for name, a := range aliases {
		c.Mappings[name] = a.String()
	}
	r := &names.Whole{Search: pod.Search, Ndots: pod.Ndots}
	if whole {
		c.Whole = r
		return aliases, nil
	}
	// The domains of the pod's node are none of this machine's.
	domain := names.New(*c).Domain()
	r.Search = slices.DeleteFunc(slices.Clone(r.Search), func(s string) bool { return s != domain && !strings.HasSuffix(s, "."+domain) })
	c.InPod = r
	return aliases, nil
}

// names decides about names as a pod of a namespace would use them, and then as pods of the
// namespaces with intercepts would.
func (v *clusterView) names(n *ClusterNetwork, namespace string) names.Config {
	c := names.Config{Domain: n.Domain, Namespace: namespace, Include: n.Include, Exclude: n.Exclude, Mappings: n.Mappings,
		Outside: hostNames(v.server.hosts())}
	for _, key := range v.Intercepts() {
		if key.Namespace != namespace && !slices.Contains(c.Intercepted, key.Namespace) {
			c.Intercepted = append(c.Intercepted, key.Namespace)
		}
	}
	return c
}

// namesSoon is names for a program that uses a proxy. While the traffic-manager has not
// told of the cluster's network, the program waits up to networkWait for that. By a pod, all
// names mean what they mean there, as far as that is known.
func (v *clusterView) namesSoon(ctx context.Context, namespace, via string) names.Config {
	ctx, cancel := context.WithTimeout(ctx, networkWait)
	defer cancel()
	n, err := v.Feed.wait(ctx)
	if err != nil {
		n = &ClusterNetwork{Domain: v.Domain()}
	}
	c := v.names(n, namespace)
	if _, err := v.asInPod(ctx, &c, via, true); err != nil {
		v.log.Debug("names are not those of the pod", "error", err)
		c.Whole = &names.Whole{} // full names, which the pod's name server may know
	}
	return c
}

// listNamespaces returns the namespaces that there are, if the user may list them. While
// the API server does not answer, it returns those of the last time.
func (v *clusterView) listNamespaces(ctx context.Context) []string {
	list := metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	var all []string
	switch err := v.Reader.List(ctx, &list, client.Limit(manyNamespaces)); {
	case err == nil:
		for _, n := range list.Items {
			all = append(all, n.Name)
		}
		slices.Sort(all)
	default:
		v.log.Debug("namespaces are not known", "error", err)
		if last := v.namespaces.Load(); last != nil && !apierrors.IsForbidden(err) {
			return *last
		}
	}
	v.namespaces.Store(&all)
	return all
}
