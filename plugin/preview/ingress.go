package preview

import (
	"context"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// classAnnotation is where an Ingress names its class in old style.
const classAnnotation = "kubernetes.io/ingress.class"

// ingressRoutes returns what the cluster's Ingresses tell.
func ingressRoutes(ctx context.Context, r client.Reader, namespace string) []route {
	var list networkingv1.IngressList
	wide(ctx, r, &list, namespace)
	var routes []route
	for i := range list.Items {
		in := &list.Items[i]
		for _, rule := range in.Spec.Rules {
			if strings.HasPrefix(rule.Host, "*") {
				continue // no host of its own
			}
			routes = append(routes, ruleRoute(in, rule))
		}
		if b := in.Spec.DefaultBackend; b != nil && b.Service != nil && len(in.Spec.Rules) == 0 {
			x := ruleRoute(in, networkingv1.IngressRule{})
			x.services = []string{b.Service.Name}
			routes = append(routes, x)
		}
	}
	return routes
}

func ruleRoute(in *networkingv1.Ingress, rule networkingv1.IngressRule) route {
	x := route{from: "ingress " + in.Namespace + "/" + in.Name, namespace: in.Namespace, host: rule.Host}
	if rule.HTTP != nil {
		for _, p := range rule.HTTP.Paths {
			if p.Backend.Service != nil {
				x.services = append(x.services, p.Backend.Service.Name)
			}
		}
	}
	x.behind.class = in.Annotations[classAnnotation]
	if in.Spec.IngressClassName != nil {
		x.behind.class = *in.Spec.IngressClassName
	}
	x.behind.tls = slices.ContainsFunc(in.Spec.TLS, func(t networkingv1.IngressTLS) bool {
		return len(t.Hosts) == 0 || slices.ContainsFunc(t.Hosts, func(h string) bool { return covers(h, rule.Host) })
	})
	for _, at := range in.Status.LoadBalancer.Ingress {
		x.behind.addresses = append(x.behind.addresses, at.IP, at.Hostname)
	}
	return x
}

// covers says whether a host name, which may begin with "*.", stands for a host.
func covers(name, host string) bool {
	if rest, wild := strings.CutPrefix(name, "*"); wild {
		return strings.HasSuffix(host, rest)
	}
	return name == host
}
