package check

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Route is a network to which this machine has a route, and the interface of that route.
type Route struct {
	Prefix netip.Prefix
	Via    string
}

// network is a range of the cluster's addresses.
type network struct {
	what   string // "Services", "pods of node-1"
	prefix netip.Prefix
}

func (e *Env) networkChecks() []Check {
	return []Check{
		{"the cluster's networks are not this machine's", "networks of the cluster are this machine's too", e.withAPI(func(ctx context.Context) Outcome {
			routes, err := e.Machine.Routes()
			if err != nil {
				return skip("read the routes of this machine: " + err.Error())
			}
			return judgeOverlap(append(e.serviceNetworks(ctx), e.podNetworks(ctx)...), routes)
		})},
		{"connect has its root helper", "connect has no root helper", func(ctx context.Context) Outcome {
			how, err := e.Machine.Netd(ctx)
			if err != nil {
				return warn(err.Error(), "intercepts, kubectl intercept connect --proxy and kubectl intercept run do without it")
			}
			return ok(how)
		}},
	}
}

// judgeOverlap compares the cluster's networks with this machine's routes. It ignores
// default routes.
func judgeOverlap(cluster []network, routes []Route) Outcome {
	if len(cluster) == 0 {
		return skip("you may not see the cluster's networks")
	}
	var clashes, seen []string
	pods := 0
	for _, n := range cluster {
		if n.prefix.IsSingleIP() {
			pods++
		} else {
			seen = append(seen, fmt.Sprintf("%s %s", n.what, n.prefix))
		}
		for _, r := range routes {
			if r.Prefix.Bits() > 0 && !r.Prefix.Addr().IsLoopback() && n.prefix.Overlaps(r.Prefix) {
				clashes = append(clashes, fmt.Sprintf("%s have %s, this machine has %s on %s", n.what, n.prefix, r.Prefix, r.Via))
			}
		}
	}
	if len(clashes) > 0 {
		return warn(strings.Join(clashes, "; "), "intercepts work all the same; for reaching the cluster's network from here, one of the two has to change: a VPN or a container network of this machine can often be moved")
	}
	if pods > 0 {
		seen = append(seen, fmt.Sprintf("the addresses of pods here (%d)", pods))
	}
	return ok(strings.Join(seen, ", "))
}

// serviceNetworks returns the ServiceCIDRs. If the user may not read them, it creates a
// Service with an address outside of them as a dry run, because the API server's error
// has the ranges.
func (e *Env) serviceNetworks(ctx context.Context) []network {
	var out []network
	list, err := e.Kube.NetworkingV1().ServiceCIDRs().List(ctx, metav1.ListOptions{})
	if err == nil {
		for _, c := range list.Items {
			for _, s := range c.Spec.CIDRs {
				out = addNetwork(out, "Services", s)
			}
		}
	}
	if len(out) > 0 {
		return out
	}
	_, err = e.Kube.CoreV1().Services(e.Namespace).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "kubectl-intercept-check-"},
		Spec:       corev1.ServiceSpec{ClusterIP: "192.0.2.1", Ports: []corev1.ServicePort{{Port: 80}}}, // RFC 5737: nobody's
	}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		out = parseRange(err.Error())
	}
	return out
}

// parseRange parses the ranges in that error of the API server.
func parseRange(message string) []network {
	m := regexp.MustCompile(`The range of valid IPs is ([0-9a-fA-F:./, ]+)`).FindStringSubmatch(message)
	if m == nil {
		return nil
	}
	var out []network
	for s := range strings.SplitSeq(m[1], ",") {
		out = addNetwork(out, "Services", strings.TrimSpace(s))
	}
	return out
}

// podNetworks returns the pod networks of the nodes. If the user may not read nodes, or
// the network plugin does not use them, it returns the addresses of pods.
func (e *Env) podNetworks(ctx context.Context) []network {
	var out []network
	if nodes, err := e.Kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{}); err == nil {
		for _, n := range nodes.Items {
			for _, s := range n.Spec.PodCIDRs {
				out = addNetwork(out, "pods of "+n.Name, s)
			}
		}
	}
	if len(out) > 0 {
		return out
	}
	pods, err := e.Kube.CoreV1().Pods(e.Namespace).List(ctx, metav1.ListOptions{Limit: 20})
	if err != nil {
		return nil
	}
	for _, p := range pods.Items {
		if addr, err := netip.ParseAddr(p.Status.PodIP); err == nil && !p.Spec.HostNetwork {
			out = append(out, network{"pod " + p.Name, netip.PrefixFrom(addr, addr.BitLen())})
		}
	}
	return out
}

func addNetwork(list []network, what, cidr string) []network {
	p, err := netip.ParsePrefix(cidr)
	if err != nil {
		return list
	}
	return append(list, network{what, p.Masked()})
}
