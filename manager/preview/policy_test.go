package preview

import (
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

func TestIngress(t *testing.T) {
	p := policy(cluster(t, ingressOf("shop", "shop.example.com")))
	for _, c := range []struct {
		host   string
		port   int32
		l5     string
		want   string // an address
		reason string
	}{
		{host: "edge", port: 80, want: "10.96.1.1:80"},
		{host: "edge.shop", port: 443, want: "10.96.1.1:443"},
		{host: "edge.shop.svc", port: 80, want: "10.96.1.1:80"},
		{host: "edge.shop.svc.cluster.local", port: 80, want: "10.96.1.1:80"},
		{host: "open.edge", port: 80, want: "10.96.2.2:80"},
		{host: "nginx.edge", port: 80, reason: `"create pods/portforward" in namespace "edge", or edge/nginx in the chart value preview.services`},
		{host: "edge.shop", port: 81, reason: "Service shop/edge has no TCP port 81; it has 80, 443"},
		{host: "edge.shop.example.com", port: 80, reason: "is not a Service of the cluster"},
		{host: "169.254.169.254", port: 80, reason: "is not a Service of the cluster"},
		{host: "10.96.1.1", port: 80, reason: "is not a Service of the cluster"},
		{host: "nothing", port: 80, reason: "there is no Service shop/nothing"},
		{host: "headless", port: 80, reason: "has no address in the cluster"},
		{host: "outside", port: 80, reason: "has no address in the cluster"},
		{host: "bare", port: 80, reason: "has no selector"},
		{host: "kubernetes.default", port: 443, reason: "cannot enter by Service default/kubernetes"},
		{host: "traffic-manager-preview.intercept-system", port: 80, reason: "cannot enter by Service intercept-system/traffic-manager-preview"},
		{host: "edge", port: 80, l5: host, reason: "is a preview's own"},
		{host: "edge", port: 80, l5: strings.ToUpper(host) + ":443", reason: "is a preview's own"},
	} {
		ic := intercept(func(ic *v1alpha1.Intercept) {
			ic.Spec.Preview.Host, ic.Spec.Preview.Port = c.host, c.port
			if c.l5 != "" {
				ic.Spec.Preview.L5Host = c.l5
			}
		})
		got, err := p.Ingress(t.Context(), ic)
		switch refused, ok := err.(*RefusedError); {
		case c.reason == "" && (err != nil || got.String() != c.want):
			t.Errorf("%s:%d: %v, %v", c.host, c.port, got, err)
		case c.reason != "" && (!ok || !strings.Contains(refused.Reason, c.reason)):
			t.Errorf("%s:%d: %v, %v; want %s", c.host, c.port, got, err, c.reason)
		}
	}
}

// A traffic-manager for some namespaces knows no Services of others.
func TestIngressElsewhere(t *testing.T) {
	p := policy(cluster(t))
	p.Namespaces = []string{"shop"}
	for host, want := range map[string]string{"edge": "", "open.edge": `does not work in namespace "edge"`} {
		_, err := p.Ingress(t.Context(), intercept(func(ic *v1alpha1.Intercept) { ic.Spec.Preview.Host = host }))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", host, err)
		}
	}
}

// A preview needs the session of its own user.
func TestIngressWithoutSession(t *testing.T) {
	c := cluster(t)
	for _, user := range []string{"eve", ""} {
		if err := c.Delete(t.Context(), session("")); err != nil {
			t.Fatal(err)
		}
		if user != "" {
			if err := c.Create(t.Context(), session(user)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := policy(c).Ingress(t.Context(), intercept(nil)); err == nil || !strings.Contains(err.Error(), `session of user "ada" has ended`) {
			t.Errorf("with %q's: %v", user, err)
		}
	}
}
