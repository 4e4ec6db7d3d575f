package preview

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// hostsLife is how long the hosts of a namespace are believed.
const hostsLife = 10 * time.Second

// Hosts says which hosts a namespace's previews may ask an ingress for that is open to all
// of them. It is safe for concurrent use.
type Hosts struct {
	// Allowed are those of every namespace: "shop.example.com", "*.example.com" for all
	// below, or "*". If there are some, they are all.
	Allowed []string
	// Live reads the Ingresses and HTTPRoutes whose hosts are the allowed ones otherwise.
	Live client.Reader

	mu    sync.Mutex
	known map[string]knownHosts // by namespace
}

type knownHosts struct {
	hosts []string
	until time.Time
}

// allow says whether previews of a namespace may ask for a host, which is in lower case.
func (h *Hosts) allow(ctx context.Context, namespace, host string) (bool, error) {
	if len(h.Allowed) > 0 {
		return slices.ContainsFunc(h.Allowed, func(a string) bool {
			below, wild := strings.CutPrefix(a, "*")
			return a == host || wild && strings.HasSuffix(host, below)
		}), nil
	}
	hosts, err := h.routed(ctx, namespace)
	return slices.Contains(hosts, host), err
}

// routed returns the hosts that a namespace's Ingresses and HTTPRoutes name in full. One
// with "*." is none: objects of other namespaces may have hosts below it.
func (h *Hosts) routed(ctx context.Context, namespace string) ([]string, error) {
	now := time.Now()
	h.mu.Lock()
	known, ok := h.known[namespace]
	h.mu.Unlock()
	if ok && now.Before(known.until) {
		return known.hosts, nil
	}
	var hosts []string
	var ingresses networkingv1.IngressList
	if err := h.Live.List(ctx, &ingresses, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("read the Ingresses of namespace %s: %w", namespace, err)
	}
	for _, in := range ingresses.Items {
		for _, rule := range in.Spec.Rules {
			hosts = append(hosts, strings.ToLower(rule.Host))
		}
	}
	routes := &unstructured.UnstructuredList{}
	routes.SetGroupVersionKind(schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRouteList"})
	if err := h.Live.List(ctx, routes, client.InNamespace(namespace)); err != nil && !meta.IsNoMatchError(err) {
		return nil, fmt.Errorf("read the HTTPRoutes of namespace %s: %w", namespace, err)
	}
	for _, r := range routes.Items {
		names, _, _ := unstructured.NestedStringSlice(r.Object, "spec", "hostnames")
		for _, name := range names {
			hosts = append(hosts, strings.ToLower(name))
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known == nil {
		h.known = map[string]knownHosts{}
	}
	h.known[namespace] = knownHosts{hosts, now.Add(hostsLife)}
	return hosts, nil
}
