package mesh

import (
	"maps"
	"net/netip"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The annotations by which the meshes spare what a pod connects to.
const (
	istioSkipPorts   = "traffic.sidecar.istio.io/excludeOutboundPorts"
	istioSkipRanges  = "traffic.sidecar.istio.io/excludeOutboundIPRanges"
	linkerdSkipPorts = "config.linkerd.io/skip-outbound-ports"
)

// Exits are where an agent connects to.
type Exits struct {
	// Ports are those of the traffic-manager. A mesh spares them for the whole
	// pod, whoever connects to whatever address.
	Ports []uint16
	// Ranges are addresses of the traffic-manager. Only Istio can spare those.
	Ranges []netip.Prefix
}

// MergePodAnnotations returns the annotations that let the agent in a new pod
// reach the traffic-manager past the mesh: those that the pod has, with the exits
// added to what the user has spared already. A pod that says that it is in a mesh
// gets them whatever k is; with k, every pod that does not refuse. When nothing is
// to be added it returns the pod's own map; it never changes that.
func MergePodAnnotations(k Kind, pod, namespace *metav1.ObjectMeta, to Exits) map[string]string {
	if in := Of(pod, namespace); in != None {
		k = in
	}
	merged := map[string]string{}
	add := func(key, value string) {
		if value != pod.Annotations[key] {
			merged[key] = value
		}
	}
	switch {
	case k != Istio && k != Linkerd || refuses(k, pod):
	case k == Linkerd:
		add(linkerdSkipPorts, addPorts(pod.Annotations[linkerdSkipPorts], to.Ports))
	default:
		add(istioSkipPorts, addPorts(pod.Annotations[istioSkipPorts], to.Ports))
		add(istioSkipRanges, addRanges(pod.Annotations[istioSkipRanges], to.Ranges))
	}
	if len(merged) == 0 {
		return pod.Annotations
	}
	out := maps.Clone(pod.Annotations)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, merged)
	return out
}

// addPorts appends to a list what is not in it. What the user wrote stays as it
// is, even if it is no port.
func addPorts(list string, ports []uint16) string {
	for _, p := range ports {
		if !has(list, func(item string) bool { return portIn(item, p) }) {
			list = appendItem(list, strconv.Itoa(int(p)))
		}
	}
	return list
}

func addRanges(list string, ranges []netip.Prefix) string {
	for _, r := range ranges {
		if !has(list, func(item string) bool { return rangeIn(item, r) }) {
			list = appendItem(list, r.String())
		}
	}
	return list
}

func has(list string, is func(item string) bool) bool {
	for item := range strings.SplitSeq(list, ",") {
		if is(strings.TrimSpace(item)) {
			return true
		}
	}
	return false
}

// appendItem appends an item to what may be empty or end in a comma.
func appendItem(list, item string) string {
	list = strings.TrimRight(list, ", ")
	if list == "" {
		return item
	}
	return list + "," + item
}

// portIn says whether an item is the port, or Linkerd's "from-to" around it.
func portIn(item string, p uint16) bool {
	from, to, isRange := strings.Cut(item, "-")
	if !isRange {
		to = from
	}
	a, err := strconv.ParseUint(strings.TrimSpace(from), 10, 16)
	if err != nil {
		return false
	}
	b, err := strconv.ParseUint(strings.TrimSpace(to), 10, 16)
	return err == nil && a <= uint64(p) && uint64(p) <= b
}

// rangeIn says whether an item, a range or Istio's "*", contains r.
func rangeIn(item string, r netip.Prefix) bool {
	if item == "*" {
		return true
	}
	p, err := netip.ParsePrefix(item)
	return err == nil && p.Bits() <= r.Bits() && p.Contains(r.Addr())
}
