package preview

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// These are the Services of ingress controllers.
const (
	nginx = `
apiVersion: v1
kind: Service
metadata: {name: ingress-nginx-controller, namespace: ingress-nginx, labels: {app.kubernetes.io/name: ingress-nginx}}
spec: {type: LoadBalancer, clusterIP: 10.96.0.7, clusterIPs: [10.96.0.7], ports: [{name: http, port: 80}, {name: https, port: 443}]}
status: {loadBalancer: {ingress: [{ip: 192.0.2.7}]}}
---
apiVersion: v1
kind: Service
metadata: {name: ingress-nginx-controller-admission, namespace: ingress-nginx, labels: {app.kubernetes.io/name: ingress-nginx}}
spec: {clusterIP: 10.96.0.8, ports: [{name: https-webhook, port: 443}]}
---
apiVersion: v1
kind: Service
metadata: {name: edge, namespace: edge}
spec: {type: LoadBalancer, clusterIP: 10.96.0.9, ports: [{name: web, port: 8000}, {name: websecure, port: 8443}]}
status: {loadBalancer: {ingress: [{hostname: edge.example.com}]}}
---
apiVersion: v1
kind: Service
metadata: {name: quote, namespace: shop}
spec: {clusterIP: 10.96.1.1, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: dns, namespace: shop}
spec: {clusterIP: 10.96.1.2, ports: [{name: dns, port: 53, protocol: UDP}]}
`
	ingress = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop}
spec:
  ingressClassName: nginx
  rules: [{host: shop.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: quote, port: {number: 80}}}}]}}]
`
)

// load reads objects of a test.
func load(t *testing.T, text string) []client.Object {
	t.Helper()
	var objects []client.Object
	d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader([]byte(text)), len(text)+1)
	for {
		u := &unstructured.Unstructured{}
		if d.Decode(&u.Object) != nil {
			return objects
		}
		var o client.Object = u
		switch u.GetKind() {
		case "Service":
			o = &corev1.Service{}
		case "Ingress":
			o = &networkingv1.Ingress{}
		}
		if o != u {
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, o); err != nil {
				t.Fatal(err)
			}
		}
		objects = append(objects, o)
	}
}

func newReader(t *testing.T, text string, refuse func(client.ObjectList, client.ListOptions) error) client.Client {
	t.Helper()
	s := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"Gateway", "HTTPRoute"} {
		gv := schema.GroupVersion{Group: "gateway.networking.k8s.io", Version: "v1"}
		s.AddKnownTypeWithName(gv.WithKind(kind), &unstructured.Unstructured{})
		s.AddKnownTypeWithName(gv.WithKind(kind+"List"), &unstructured.UnstructuredList{})
	}
	return fake.NewClientBuilder().WithScheme(s).WithObjects(load(t, text)...).WithInterceptorFuncs(interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if refuse != nil {
				var o client.ListOptions
				o.ApplyOptions(opts)
				if err := refuse(list, o); err != nil {
					return err
				}
			}
			return c.List(ctx, list, opts...)
		}}).Build()
}

func TestDetect(t *testing.T) {
	for name, c := range map[string]struct {
		objects string
		want    []string
	}{
		"nothing": {nginx, nil},
		"by its class": {nginx + "---" + ingress,
			[]string{"ingress-nginx-controller.ingress-nginx:80 for shop.example.com, ingress shop/web"}},
		"with TLS": {nginx + "---" + ingress + "  tls: [{hosts: ['*.example.com'], secretName: s}]\n",
			[]string{"ingress-nginx-controller.ingress-nginx:443 with TLS for shop.example.com, ingress shop/web"}},
		"by its address": {nginx + "---" + ingress + "status: {loadBalancer: {ingress: [{hostname: edge.example.com}]}}\n",
			[]string{"edge.edge:8000 for shop.example.com, ingress shop/web"}},
		"without a controller": {ingress, nil},
		"without a host": {nginx + `---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: all, namespace: shop, annotations: {kubernetes.io/ingress.class: nginx}}
spec: {defaultBackend: {service: {name: quote, port: {number: 80}}}}
`, []string{"ingress-nginx-controller.ingress-nginx:80 for ingress-nginx-controller.ingress-nginx, ingress shop/all"}},
		"the one that leads there first": {nginx + `---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: a, namespace: blog}
spec: {rules: [{host: blog.example.com}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: b, namespace: shop}
spec: {rules: [{host: front.example.com, http: {paths: [{backend: {service: {name: front}}}]}}, {host: '*.example.com'}]}
---` + ingress, []string{
			"ingress-nginx-controller.ingress-nginx:80 for shop.example.com, ingress shop/web",
			"ingress-nginx-controller.ingress-nginx:80 for front.example.com, ingress shop/b",
			"ingress-nginx-controller.ingress-nginx:80 for blog.example.com, ingress blog/a"}},
		"a Gateway with a Service of its own": {nginx + `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: edge}
spec: {listeners: [{name: http, port: 80, protocol: HTTP}, {name: https, port: 443, protocol: HTTPS, hostname: '*.example.com'}, {name: tcp, port: 5432, protocol: TCP}]}
---
apiVersion: v1
kind: Service
metadata: {name: envoy-edge-web, namespace: edge, labels: {gateway.networking.k8s.io/gateway-name: web}}
spec: {clusterIP: 10.96.0.10, ports: [{name: http-80, port: 80}, {name: https-443, port: 443}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: quote, namespace: shop}
spec: {hostnames: [shop.example.com, shop.example.org], parentRefs: [{name: web, namespace: edge}], rules: [{backendRefs: [{name: quote, port: 80}]}]}
`, []string{"envoy-edge-web.edge:443 with TLS for shop.example.com, httproute shop/quote",
			"envoy-edge-web.edge:80 for shop.example.org, httproute shop/quote"}},
		"a Gateway by its address": {nginx + `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: shop}
spec: {listeners: [{name: http, port: 80, protocol: HTTP, hostname: shop.example.com}]}
status: {addresses: [{type: IPAddress, value: 192.0.2.7}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: quote, namespace: shop}
spec: {parentRefs: [{name: web, sectionName: http}, {name: other}], rules: [{backendRefs: [{name: quote, port: 80}]}]}
`, []string{"ingress-nginx-controller.ingress-nginx:80 for shop.example.com, httproute shop/quote"}},
		"a Gateway that nothing serves": {nginx + `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: shop}
spec: {listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: quote, namespace: shop}
spec: {hostnames: [shop.example.com], parentRefs: [{name: web}]}
`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, c := range Detect(t.Context(), newReader(t, c.objects, nil), "shop", []string{"quote"}) {
				tls := ""
				if c.TLS {
					tls = " with TLS"
				}
				got = append(got, fmt.Sprintf("%s%s for %s, %s", c.Address(), tls, c.L5Host, c.From))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What the user may not read, or the cluster does not know, is left out.
func TestDetectWithoutRights(t *testing.T) {
	text := nginx + "---" + ingress
	for name, refuse := range map[string]func(client.ObjectList, client.ListOptions) error{
		"anything": func(client.ObjectList, client.ListOptions) error { return errors.New("forbidden") },
		"other namespaces": func(_ client.ObjectList, o client.ListOptions) error {
			if o.Namespace == "" {
				return errors.New("forbidden")
			}
			return nil
		},
	} {
		if got := Detect(t.Context(), newReader(t, text, refuse), "shop", []string{"quote"}); got != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
	noGateways := func(l client.ObjectList, _ client.ListOptions) error {
		if _, ok := l.(*unstructured.UnstructuredList); ok {
			return errors.New("the server could not find the requested resource")
		}
		return nil
	}
	if got := Detect(t.Context(), newReader(t, text, noGateways), "shop", []string{"quote"}); len(got) != 1 {
		t.Errorf("without the Gateway API: %v", got)
	}
}

func TestDirect(t *testing.T) {
	https := "https"
	for name, c := range map[string]struct {
		port corev1.ServicePort
		tls  bool
	}{
		"http":        {corev1.ServicePort{Name: "http", Port: 8080}, false},
		"by number":   {corev1.ServicePort{Port: 443}, true},
		"by name":     {corev1.ServicePort{Name: "https", Port: 8443}, true},
		"by protocol": {corev1.ServicePort{Port: 9000, AppProtocol: &https}, true},
	} {
		if got := Direct("shop", "quote", c.port); got.TLS != c.tls || got.L5Host != "quote.shop" || got.Port != uint16(c.port.Port) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
