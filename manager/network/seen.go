package network

import (
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	networkingv1beta1 "k8s.io/api/networking/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// kind is what is known of the addresses of pods, or of Services.
type kind struct {
	// declared are the ranges of each node, or ServiceCIDR, by its name.
	declared map[string][]netip.Prefix
	// strays are the blocks of addresses that were seen outside of those. They
	// stay: what was there once will be again, and a machine is spared routes
	// that come and go.
	strays map[netip.Prefix]struct{}
}

func newKind() *kind {
	return &kind{declared: map[string][]netip.Prefix{}, strays: map[netip.Prefix]struct{}{}}
}

// declare takes note of a node's or ServiceCIDR's ranges, and says whether
// that changes anything. None: it is gone.
func (k *kind) declare(name string, cidrs []string) bool {
	var list []netip.Prefix
	for _, c := range cidrs {
		if p, err := netip.ParsePrefix(c); err == nil {
			list = append(list, p.Masked())
		}
	}
	if slices.Equal(k.declared[name], list) {
		return false
	}
	if len(list) == 0 {
		delete(k.declared, name)
	} else {
		k.declared[name] = list
	}
	return true
}

// see takes note of an address.
func (k *kind) see(text string) bool {
	a, err := netip.ParseAddr(text)
	if err != nil { // "None"
		return false
	}
	a = a.Unmap().WithZone("")
	b := block(a)
	if _, known := k.strays[b]; known {
		return false
	}
	for _, list := range k.declared {
		if contains(list, a) {
			return false
		}
	}
	k.strays[b] = struct{}{}
	return true
}

// ranges are all, as a machine is told.
func (k *kind) ranges() []string {
	all := slices.Collect(maps.Keys(k.strays))
	for _, list := range k.declared {
		all = append(all, list...)
	}
	return texts(ranges(all))
}

// addresses of a Service or a pod. A pod on the host's network has the node's.
func addresses(o any) []string {
	switch o := o.(type) {
	case *corev1.Service:
		return o.Spec.ClusterIPs
	case *corev1.Pod:
		if o.Spec.HostNetwork {
			return nil
		}
		var list []string
		for _, ip := range o.Status.PodIPs {
			list = append(list, ip.IP)
		}
		return list
	}
	return nil
}

// declaration is the name and the ranges of a node or ServiceCIDR.
func declaration(o any) (name string, cidrs []string) {
	switch o := o.(type) {
	case *corev1.Node:
		return o.Name, o.Spec.PodCIDRs
	case *networkingv1.ServiceCIDR:
		return o.Name, o.Spec.CIDRs
	case *networkingv1beta1.ServiceCIDR:
		return o.Name, o.Spec.CIDRs
	}
	return "", nil
}

// TrimNode keeps of a node what this package reads: nodes are large, and
// change all the time.
func TrimNode(o any) (any, error) {
	if n, ok := o.(*corev1.Node); ok {
		o = &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name, UID: n.UID, ResourceVersion: n.ResourceVersion},
			Spec: corev1.NodeSpec{PodCIDRs: n.Spec.PodCIDRs}}
	}
	return o, nil
}
