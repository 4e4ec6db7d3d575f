// Package preview finds out where the requests of a preview enter the cluster: it reads
// Ingress and Gateway API objects, and asks the user.
package preview

import (
	"cmp"
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/gateway"
)

// Candidate is a way into the cluster that objects of the cluster tell of.
type Candidate struct {
	gateway.Ingress
	// Namespace and Service are those of Ingress.Host.
	Namespace, Service string
	// From names the object, "ingress shop/web".
	From string
}

// route is what an Ingress or an HTTPRoute tells: for which host, and to which Services.
type route struct {
	from, namespace string
	host            string
	services        []string
	// behind finds the Service of the ingress controller.
	behind hint
}

// hint is what is known of the Service in front of a route.
type hint struct {
	// addresses are those that the controller wrote into the object's status.
	addresses []string
	// class is the name of the controller's class. Gateway is "NAMESPACE/NAME" of a
	// Gateway.
	class, gateway string
	tls            bool
	port           int32 // 0 is the usual one
}

// Detect returns the ways into the cluster that lead to one of the Services in a
// namespace, the best first. It reads with the user's credentials. What the user may not
// read, or the cluster does not know, leads nowhere, and is no error.
func Detect(ctx context.Context, r client.Reader, namespace string, services []string) []Candidate {
	fronts := listServices(ctx, r, namespace)
	var found []Candidate
	score := map[string]int{}
	for _, x := range slices.Concat(ingressRoutes(ctx, r, namespace), httpRoutes(ctx, r, namespace)) {
		front := x.behind.find(fronts)
		if front == nil {
			continue
		}
		c := candidate(front, x)
		score[c.From+c.L5Host] = x.score(namespace, services)
		found = append(found, c)
	}
	slices.SortStableFunc(found, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(score[b.From+b.L5Host], score[a.From+a.L5Host]), cmp.Compare(a.From, b.From), cmp.Compare(a.L5Host, b.L5Host))
	})
	return found
}

// score says how sure it is that a route leads to one of the Services.
func (x *route) score(namespace string, services []string) int {
	switch {
	case x.namespace != namespace:
		return 0
	case slices.ContainsFunc(x.services, func(s string) bool { return slices.Contains(services, s) }):
		return 2
	}
	return 1
}

func candidate(front *corev1.Service, x route) Candidate {
	c := Candidate{Namespace: front.Namespace, Service: front.Name, From: x.from}
	c.Host, c.TLS = front.Name+"."+front.Namespace, x.behind.tls
	c.Port = portOf(front, x.behind.port, c.TLS)
	c.L5Host = cmp.Or(x.host, c.Host)
	return c
}

// Direct is the way to a port of a Service without an ingress.
func Direct(namespace, name string, port corev1.ServicePort) Candidate {
	host := name + "." + namespace
	tls := port.Port == httpsPort || port.Name == "https" || port.AppProtocol != nil && *port.AppProtocol == "https"
	return Candidate{Namespace: namespace, Service: name, From: "service " + namespace + "/" + name,
		Ingress: gateway.Ingress{Host: host, Port: uint16(port.Port), TLS: tls, L5Host: host}}
}

// listServices returns the Services that may be an ingress controller's: those of all
// namespaces, or of one where the user may not read all.
func listServices(ctx context.Context, r client.Reader, namespace string) []corev1.Service {
	var list corev1.ServiceList
	wide(ctx, r, &list, namespace)
	return slices.DeleteFunc(list.Items, func(s corev1.Service) bool {
		return s.Spec.Type == corev1.ServiceTypeExternalName || portOf(&s, 0, false) == 0
	})
}

// wide lists the objects of all namespaces, or of one where the user may not read all.
// After an error the list is empty.
func wide(ctx context.Context, r client.Reader, list client.ObjectList, namespace string) {
	if r.List(ctx, list) != nil {
		_ = r.List(ctx, list, client.InNamespace(namespace))
	}
}
