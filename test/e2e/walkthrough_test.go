//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestWalkthrough is what users read to begin with: an application made with
// kubectl in namespace default, reached from the laptop by name, intercepted,
// and out of reach afterwards.
func TestWalkthrough(t *testing.T) {
	l := lab.New(t, clusters)
	alice := l.Laptop("alice")
	l.Allow("alice", "edit", "default")
	before := network(alice)
	t.Cleanup(func() {
		ctx := context.Background()
		for _, o := range []client.Object{
			&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "hello"}},
			&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "hello"}},
			&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "alice-edit"}},
		} {
			if err := l.Client.Delete(ctx, o, client.PropagationPolicy(metav1.DeletePropagationForeground)); err != nil {
				t.Error(err)
			}
		}
	})
	alice.Kubectl("create", "deploy", "hello", "--image=kubectl-intercept.dev/test/quote:dev", "-n", "default")
	alice.Kubectl("expose", "deploy", "hello", "--port", "80", "--target-port", "8080", "-n", "default")
	alice.Kubectl("rollout", "status", "deploy/hello", "-n", "default")
	if o := alice.Intercept("connect", "-n", "default"); o.Out != "" || !strings.Contains(o.Err, "connected: intercept0 leads to ") || strings.Contains(o.Err, ".sock") {
		t.Errorf("connect says\n%s%s", o.Out, o.Err)
	}

	says := func(url, who string) func() error {
		return func() error {
			if o := alice.Quiet("curl -sS --max-time 10 " + url); !strings.HasPrefix(o.Out, "answered by "+who+" (") {
				return fmt.Errorf("%s: %s%s", url, o.Out, o.Err)
			}
			return nil
		}
	}
	l.Until("the Service answers", says("hello.default", lab.Application))
	if got := alice.Shell(`curl -sSk -w '\n%{http_code}' https://kubernetes.default:443`); !strings.HasSuffix(got, "\n401") || !strings.Contains(got, "Unauthorized") {
		t.Errorf("the API server says %s", got)
	}
	if got := alice.Shell("nslookup kubernetes.default"); !strings.Contains(got, "Name:\tkubernetes.default.svc.cluster.local\nAddress: 10.96.0.1\n") {
		t.Errorf("nslookup says\n%s", got)
	}
	program := alice.Serve("alice")
	alice.Intercept("add", "hello", "--port", program.To("8080"), "-n", "default")
	for _, name := range []string{"hello", "hello.default"} {
		l.Until(name+" is answered on the laptop", says(name, "alice"))
	}
	program.Close()
	alice.Intercept("leave", "hello", "-n", "default")
	l.Until("the application answers again", says("hello.default", lab.Application))
	alice.Intercept("disconnect")
	if o := alice.Sh("curl -sS hello.default"); o.Code != 6 { // "Could not resolve host"
		t.Errorf("after disconnect: %s%s", o.Out, o.Err)
	}
	if after := network(alice); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// network is what connect changes on a laptop, byte for byte. The kernel gives a
// new link its IPv6 address late, and its routes.
func network(p *lab.Laptop) string {
	return p.Shell("ip -br link; ip -4 route show table all; ip -6 route show table all | grep -v ' dev eth0 '; ip rule; find /etc -name 'resolv.conf*' -printf '%p %y %M %u:%g %l\\n'; cat /etc/resolv.conf")
}
