package preview

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

const (
	httpPort  = 80
	httpsPort = 443
)

// gatewayLabel names the Gateway that a Service was made for (Gateway API, GEP-1762).
const gatewayLabel = "gateway.networking.k8s.io/gateway-name"

// controllers are parts of the names of well-known ingress controllers.
func controllers() []string {
	return []string{"ingress", "traefik", "contour", "kong", "haproxy", "emissary"}
}

// find returns the Service in front of a route; nil if nothing tells of one.
func (h *hint) find(services []corev1.Service) *corev1.Service {
	signs := []func(*corev1.Service) bool{h.addressed, h.classed, wellKnown}
	if h.gateway != "" {
		signs = []func(*corev1.Service) bool{h.made, h.addressed}
	}
	for _, is := range signs {
		if i := slices.IndexFunc(services, func(s corev1.Service) bool { return is(&s) }); i >= 0 {
			return &services[i]
		}
	}
	return nil
}

// made says whether a Service was made for the Gateway.
func (h *hint) made(s *corev1.Service) bool {
	return s.Namespace+"/"+s.Labels[gatewayLabel] == h.gateway
}

// addressed says whether a Service has one of the addresses in the route's status.
func (h *hint) addressed(s *corev1.Service) bool {
	own := slices.Concat(s.Spec.ClusterIPs, s.Spec.ExternalIPs, []string{s.Name + "." + s.Namespace + ".svc.cluster.local"})
	for _, at := range s.Status.LoadBalancer.Ingress {
		own = append(own, at.IP, at.Hostname)
	}
	return slices.ContainsFunc(h.addresses, func(a string) bool { return a != "" && slices.Contains(own, a) })
}

// classed says whether a Service is named like the route's class, and has the usual
// ports.
func (h *hint) classed(s *corev1.Service) bool {
	return h.class != "" && public(s) && strings.Contains(nameOf(s), h.class)
}

func wellKnown(s *corev1.Service) bool {
	return public(s) && slices.ContainsFunc(controllers(), func(c string) bool { return strings.Contains(nameOf(s), c) })
}

// nameOf is what the labels and the name say a Service is.
func nameOf(s *corev1.Service) string {
	return s.Labels["app.kubernetes.io/name"] + " " + s.Labels["app.kubernetes.io/component"] + " " + s.Labels["app"] + " " + s.Name
}

// public says whether callers from outside of the cluster come to a Service: it has one of
// the usual ports, and a controller of ingresses would have it.
func public(s *corev1.Service) bool {
	usual := slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == httpPort || p.Port == httpsPort })
	return usual && s.Spec.ClusterIP != corev1.ClusterIPNone && !strings.Contains(s.Name, "admission")
}

// portOf is the port of a Service for HTTP, with or without TLS. Want is its number if
// that is known. The result is 0 if the Service has no TCP port.
func portOf(s *corev1.Service, want int32, tls bool) uint16 {
	name, number := "http", int32(httpPort)
	if tls {
		name, number = "https", httpsPort
	}
	number = cmp.Or(want, number)
	for _, is := range []func(corev1.ServicePort) bool{
		func(p corev1.ServicePort) bool { return p.Port == number },
		func(p corev1.ServicePort) bool { return p.Name == name },
		func(p corev1.ServicePort) bool { return true },
	} {
		i := slices.IndexFunc(s.Spec.Ports, func(p corev1.ServicePort) bool {
			return cmp.Or(p.Protocol, corev1.ProtocolTCP) == corev1.ProtocolTCP && is(p)
		})
		if i >= 0 {
			return uint16(s.Spec.Ports[i].Port)
		}
	}
	return 0
}
