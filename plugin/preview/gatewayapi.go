package preview

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// httpRoute is what Detect reads of an HTTPRoute of the Gateway API. The types of the API
// are not linked: few clusters have it.
type httpRoute struct {
	Spec struct {
		Hostnames  []string `json:"hostnames"`
		ParentRefs []struct {
			Kind        string `json:"kind"`
			Namespace   string `json:"namespace"`
			Name        string `json:"name"`
			SectionName string `json:"sectionName"`
			Port        int32  `json:"port"`
		} `json:"parentRefs"`
		Rules []struct {
			BackendRefs []struct {
				Kind string `json:"kind"`
				Name string `json:"name"`
			} `json:"backendRefs"`
		} `json:"rules"`
	} `json:"spec"`
}

// httpGateway is what Detect reads of a Gateway.
type httpGateway struct {
	Spec struct {
		Listeners []listener `json:"listeners"`
	} `json:"spec"`
	Status struct {
		Addresses []struct {
			Value string `json:"value"`
		} `json:"addresses"`
	} `json:"status"`
}

type listener struct {
	Name     string `json:"name"`
	Hostname string `json:"hostname"`
	Port     int32  `json:"port"`
	Protocol string `json:"protocol"`
}

// httpRoutes returns what the cluster's HTTPRoutes tell.
func httpRoutes(ctx context.Context, r client.Reader, namespace string) []route {
	gateways := map[string]*httpGateway{}
	for _, o := range listGatewayAPI(ctx, r, "Gateway", namespace) {
		g := &httpGateway{}
		if runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, g) == nil {
			gateways[o.GetNamespace()+"/"+o.GetName()] = g
		}
	}
	var routes []route
	for _, o := range listGatewayAPI(ctx, r, "HTTPRoute", namespace) {
		var x httpRoute
		if runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &x) == nil {
			routes = append(routes, x.routes(&o, gateways)...)
		}
	}
	return routes
}

func listGatewayAPI(ctx context.Context, r client.Reader, kind, namespace string) []unstructured.Unstructured {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: kind + "List"})
	wide(ctx, r, list, namespace)
	return list.Items
}

// routes returns a route for each host name at each Gateway.
func (x *httpRoute) routes(o *unstructured.Unstructured, gateways map[string]*httpGateway) []route {
	var services []string
	for _, rule := range x.Spec.Rules {
		for _, b := range rule.BackendRefs {
			if b.Kind == "" || b.Kind == "Service" {
				services = append(services, b.Name)
			}
		}
	}
	var routes []route
	for _, parent := range x.Spec.ParentRefs {
		at := cmp.Or(parent.Namespace, o.GetNamespace()) + "/" + parent.Name
		g := gateways[at]
		if g == nil || parent.Kind != "" && parent.Kind != "Gateway" {
			continue
		}
		for _, l := range g.best(parent.SectionName, parent.Port) {
			hosts := x.Spec.Hostnames
			if len(hosts) == 0 {
				hosts = []string{l.Hostname}
			}
			for _, host := range hosts {
				if strings.HasPrefix(host, "*") || l.Hostname != "" && !covers(l.Hostname, host) {
					continue
				}
				one := route{from: "httproute " + o.GetNamespace() + "/" + o.GetName(), namespace: o.GetNamespace(), host: host, services: services,
					behind: hint{gateway: at, tls: l.Protocol == "HTTPS", port: l.Port}}
				for _, a := range g.Status.Addresses {
					one.behind.addresses = append(one.behind.addresses, a.Value)
				}
				if !slices.ContainsFunc(routes, func(r route) bool { return r.host == one.host && r.behind.gateway == at }) {
					routes = append(routes, one)
				}
			}
		}
	}
	return routes
}

// best returns the listeners for HTTP that a route names, or all, those with TLS first:
// the others often only redirect to them.
func (g *httpGateway) best(section string, port int32) []listener {
	list := slices.DeleteFunc(slices.Clone(g.Spec.Listeners), func(l listener) bool {
		return l.Protocol != "HTTP" && l.Protocol != "HTTPS" || section != "" && l.Name != section || port != 0 && l.Port != port
	})
	slices.SortStableFunc(list, func(a, b listener) int { return -cmp.Compare(a.Protocol, b.Protocol) })
	return list
}
