package preview

import (
	"context"
	"errors"
	"fmt"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// ingressOf routes hosts to a namespace.
func ingressOf(namespace string, hosts ...string) *networkingv1.Ingress {
	in := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"}}
	for _, h := range hosts {
		in.Spec.Rules = append(in.Spec.Rules, networkingv1.IngressRule{Host: h})
	}
	return in
}

// httpRoute is one of the Gateway API.
func httpRoute(namespace string, hosts ...any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
		"metadata": map[string]any{"namespace": namespace, "name": "web"}, "spec": map[string]any{"hostnames": hosts}}}
}

// Everybody's previews may enter by a Service that the operator has opened. They may ask
// for the hosts of their namespace there, or for those that the operator allows. A Service
// that the owner may dial with any host, the preview may ask for any.
func TestHosts(t *testing.T) {
	c := cluster(t, ingressOf("shop", "Shop.example.com", "*.shop.example.com", ""), ingressOf("bank", "bank.example.com"), httpRoute("shop", "api.example.com"))
	const namespace = `user "ada" may not have a preview ask Service edge/open for the host %s: that needs an Ingress or HTTPRoute in namespace "shop" that names the host, ` +
		`"create pods/portforward" in namespace "edge", or %[1]s in the chart value preview.hosts`
	const list = `user "ada" may not have a preview ask Service edge/open for the host %s: that needs "create pods/portforward" in namespace "edge", or %[1]s in the chart value preview.hosts`
	for _, tt := range []struct {
		host, l5 string
		allowed  []string
		refused  string
	}{
		{host: "open.edge", l5: "shop.example.com"},
		{host: "open.edge", l5: "SHOP.example.com:8443"},
		{host: "open.edge", l5: "api.example.com"},
		{host: "open.edge", l5: "bank.example.com", refused: namespace},
		{host: "open.edge", l5: "admin.shop.example.com", refused: namespace},
		{host: "edge", l5: "bank.example.com"},
		{host: "open.edge", l5: "bank.example.com", allowed: []string{"bank.example.com"}},
		{host: "open.edge", l5: "shop.example.com", allowed: []string{"bank.example.com"}, refused: list},
		{host: "open.edge", l5: "a.dev.example.com", allowed: []string{"x", "*.dev.example.com"}},
		{host: "open.edge", l5: "dev.example.com", allowed: []string{"*.dev.example.com"}, refused: list},
		{host: "open.edge", l5: "bad-dev.example.com", allowed: []string{"*.dev.example.com"}, refused: list},
		{host: "open.edge", l5: "bank.example.com", allowed: []string{"*"}},
	} {
		p := policy(c)
		p.Hosts.Allowed = tt.allowed
		want := ""
		if tt.refused != "" {
			want = fmt.Sprintf(tt.refused, tt.l5)
		}
		_, err := p.Ingress(t.Context(), intercept(func(ic *v1alpha1.Intercept) { ic.Spec.Preview.Host, ic.Spec.Preview.L5Host = tt.host, tt.l5 }))
		if (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%s of %s, allowed %q: %v", tt.l5, tt.host, tt.allowed, err)
		}
	}
}

// Most clusters have no Gateway API. What cannot be read allows nothing, and is asked for
// again.
func TestHostsCannotBeRead(t *testing.T) {
	kind := schema.GroupKind{Group: "gateway.networking.k8s.io", Kind: "HTTPRoute"}
	down := errors.New("down")
	for _, tt := range []struct {
		err, want error
	}{{&meta.NoKindMatchError{GroupKind: kind}, nil}, {down, down}} {
		asked := 0
		c := interceptor.NewClient(cluster(t, ingressOf("shop", "shop.example.com")), interceptor.Funcs{
			List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
				if _, ok := list.(*unstructured.UnstructuredList); ok {
					asked++
					return tt.err
				}
				return c.List(ctx, list, opts...)
			}})
		p := policy(c)
		for range 2 {
			if _, err := p.Ingress(t.Context(), intercept(func(ic *v1alpha1.Intercept) { ic.Spec.Preview.Host = "open.edge" })); !errors.Is(err, tt.want) {
				t.Errorf("%v", err)
			}
		}
		if again := asked > 1; again != (tt.want != nil) {
			t.Errorf("asked %d times", asked)
		}
	}
}
