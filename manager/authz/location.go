package authz

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// addressField is the name of the indexes of Services, Pods and EndpointSlices
// by address.
const addressField = "kubectl-intercept.dev/address"

// Index makes Services, Pods and what is outside of the cluster findable by
// address. It must be called before the cache starts.
func Index(ctx context.Context, x client.FieldIndexer) error {
	if err := x.IndexField(ctx, &corev1.Service{}, addressField, serviceAddresses); err != nil {
		return fmt.Errorf("index services: %w", err)
	}
	if err := x.IndexField(ctx, &corev1.Pod{}, addressField, podAddresses); err != nil {
		return fmt.Errorf("index pods: %w", err)
	}
	if err := x.IndexField(ctx, &discoveryv1.EndpointSlice{}, addressField, outsideAddresses); err != nil {
		return fmt.Errorf("index endpoint slices: %w", err)
	}
	return nil
}

func serviceAddresses(o client.Object) []string {
	s, ok := o.(*corev1.Service)
	if !ok {
		return nil
	}
	var list []string
	for _, ip := range s.Spec.ClusterIPs {
		if a, err := netip.ParseAddr(ip); err == nil { // else "None"
			list = append(list, a.String())
		}
	}
	return list
}

// podAddresses leaves out those that have ended, whose address may be another's
// by now. A pod on the host's network has the node's, and of that only the ports
// which it declares.
func podAddresses(o client.Object) []string {
	p, ok := o.(*corev1.Pod)
	if !ok || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
		return nil
	}
	var list []string
	for _, ip := range p.Status.PodIPs {
		a, err := netip.ParseAddr(ip.IP)
		switch {
		case err != nil:
		case p.Spec.HostNetwork:
			list = append(list, hostPorts(p, a)...)
		default:
			list = append(list, a.String())
		}
	}
	return list
}

// hostPorts are the ports of the node that are a pod's.
func hostPorts(p *corev1.Pod, node netip.Addr) []string {
	var list []string
	for _, c := range slices.Concat(p.Spec.Containers, p.Spec.InitContainers) {
		for _, port := range c.Ports {
			text := netip.AddrPortFrom(node, uint16(port.ContainerPort)).String()
			if !slices.Contains(list, text) {
				list = append(list, text)
			}
		}
	}
	return list
}

// outsideAddresses are those that an EndpointSlice gives to a Service and that
// no pod has: resources outside of the cluster, behind a Service without a
// selector.
func outsideAddresses(o client.Object) []string {
	e, ok := o.(*discoveryv1.EndpointSlice)
	if !ok || e.AddressType == discoveryv1.AddressTypeFQDN || e.Labels[discoveryv1.LabelServiceName] == "" {
		return nil
	}
	var list []string
	for _, p := range e.Endpoints {
		if isPod(&p) {
			continue
		}
		for _, text := range p.Addresses {
			if a, err := netip.ParseAddr(text); err == nil {
				list = append(list, a.Unmap().String())
			}
		}
	}
	return list
}

func isPod(e *discoveryv1.Endpoint) bool { return e.TargetRef != nil && e.TargetRef.Kind == "Pod" }

// TrimSlice keeps of an EndpointSlice what the traffic-manager reads, for a cache:
// most endpoints of a cluster are pods that a Service selects, which are found by its
// selector.
func TrimSlice(o any) (any, error) {
	if e, ok := o.(*discoveryv1.EndpointSlice); ok {
		e.ManagedFields, e.Annotations = nil, nil
		if e.Labels[discoveryv1.LabelManagedBy] == selecting {
			e.Endpoints = slices.DeleteFunc(e.Endpoints, func(p discoveryv1.Endpoint) bool { return isPod(&p) })
		}
	}
	return o, nil
}

// selecting is the controller that makes the EndpointSlices of Services with a
// selector (KEP-0752).
const selecting = "endpointslice-controller.k8s.io"

// hasPort says whether a slice has a port; 0 is any. One without ports has all.
func hasPort(e *discoveryv1.EndpointSlice, port uint16) bool {
	return port == 0 || len(e.Ports) == 0 || slices.ContainsFunc(e.Ports, func(p discoveryv1.EndpointPort) bool {
		return p.Port == nil || *p.Port == int32(port)
	})
}

// location is what is known of an address.
type location struct {
	// namespaces may be entered through; more than one for an outside resource
	// of several Services. None: nobody in the cluster knows the address.
	namespaces []string
	// all: it takes the right in each of the namespaces. Pods of several have the address:
	// one of them is ending, and nobody knows which one the network leads to.
	all bool
	// public: every user may reach it anyway, since it is the API server's.
	// outside: it is no Service's and no pod's.
	public, outside bool
}

func isAPI(namespace, service string) bool { return namespace == "default" && service == "kubernetes" }

// find looks an address up. Services and pods have theirs for themselves, so
// that nobody gets to them by claiming their addresses for a Service of his.
func find(ctx context.Context, r client.Reader, to netip.AddrPort) (location, error) {
	at := client.MatchingFields{addressField: to.Addr().Unmap().String()}
	var services corev1.ServiceList
	if err := r.List(ctx, &services, at); err != nil {
		return location{}, err
	}
	for _, s := range services.Items {
		return location{namespaces: []string{s.Namespace}, public: isAPI(s.Namespace, s.Name)}, nil
	}
	var pods corev1.PodList
	if err := r.List(ctx, &pods, at); err != nil {
		return location{}, err
	}
	if of := namespacesOf(pods.Items); len(of) > 0 {
		return location{namespaces: of, all: true}, nil
	}
	var outside discoveryv1.EndpointSliceList
	if err := r.List(ctx, &outside, at); err != nil {
		return location{}, err
	}
	found := location{outside: true}
	var hosts corev1.PodList
	port := netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	if err := r.List(ctx, &hosts, client.MatchingFields{addressField: port.String()}); err != nil {
		return location{}, err
	}
	found.namespaces = namespacesOf(hosts.Items)
	for i := range outside.Items {
		e := &outside.Items[i]
		if !hasPort(e, to.Port()) {
			continue
		}
		found.public = found.public || isAPI(e.Namespace, e.Labels[discoveryv1.LabelServiceName])
		if !slices.Contains(found.namespaces, e.Namespace) {
			found.namespaces = append(found.namespaces, e.Namespace)
		}
	}
	slices.Sort(found.namespaces)
	return found, nil
}

// namespacesOf are those of pods, sorted.
func namespacesOf(pods []corev1.Pod) (of []string) {
	for _, p := range pods {
		of = append(of, p.Namespace)
	}
	slices.Sort(of)
	return slices.Compact(of)
}
