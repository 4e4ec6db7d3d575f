//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// browser is a program on a laptop that uses a proxy.
func browser(p *lab.Laptop, proxy string) *http.Client {
	u, err := url.Parse(proxy)
	if err != nil {
		panic(err)
	}
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		Proxy:             http.ProxyURL(u),
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		DialContext:       func(ctx context.Context, network, addr string) (net.Conn, error) { return p.Dial(ctx, network, addr) },
	}}
}

func visit(c *http.Client, url string) (int, string, error) {
	resp, err := c.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode, string(b), err
}

// TestProxy: a program on the laptop reaches what its user may forward ports
// to, by the names that a pod would use, over each transport.
func TestProxy(t *testing.T) {
	l := lab.New(t, clusters)
	l.AllowPortForward()
	l.Apply("quote.yaml")
	l.Serving("quote", "http")
	home := l.Namespace
	alice := l.Laptop("alice")
	elsewhere := l.NewNamespace(nil)
	for _, transport := range []string{"service-proxy", "port-forward"} {
		out := alice.Intercept("connect", "--proxy", "--transport", transport).Out
		var proxy string
		for line := range strings.Lines(out) {
			if v, ok := strings.CutPrefix(line, "export http_proxy="); ok {
				proxy = strings.TrimSpace(v)
			}
		}
		socks := strings.Replace(proxy, "http://", "socks5h://", 1)
		for _, way := range []string{proxy, socks} {
			c := browser(alice, way)
			for _, name := range []string{"quote", "quote." + home, "quote." + home + ".svc", "quote." + home + ".svc.cluster.local"} {
				if code, body, err := visit(c, "http://"+name); err != nil || code != http.StatusOK || !strings.Contains(body, lab.Application) {
					t.Errorf("%s, %s, %s: %d %q, %v", transport, way, name, code, body, err)
				}
			}
			if code, _, err := visit(c, "https://kubernetes.default:443"); err != nil || code != http.StatusUnauthorized && code != http.StatusForbidden {
				t.Errorf("%s, %s: the API server answers %d, %v", transport, way, code, err)
			}
			pod := l.Pod().Status.PodIP
			if code, body, err := visit(c, fmt.Sprintf("http://%s:8080", pod)); err != nil || code != http.StatusOK {
				t.Errorf("%s, %s, pod %s: %d %q, %v", transport, way, pod, code, body, err)
			}
		}
		// CoreDNS is in a namespace where alice may not forward ports.
		const missing = `that needs "create pods/portforward" in namespace "kube-system"`
		if code, body, err := visit(browser(alice, proxy), "http://kube-dns.kube-system:9153/metrics"); err != nil || code != http.StatusForbidden || !strings.Contains(body, missing) {
			t.Errorf("%s: a Service out of reach answers %d %q, %v", transport, code, body, err)
		}
		if s := alice.Intercept("status").Out; !strings.Contains(s, "Denied:\n") || !strings.Contains(s, `:9153: user "alice" may not dial `) || !strings.Contains(s, missing) {
			t.Errorf("%s: status does not show what was denied:\n%s", transport, s)
		}
		if code, _, err := visit(browser(alice, proxy), "http://nothing."+elsewhere+".svc"); err != nil || code != http.StatusBadGateway {
			t.Errorf("%s: a Service that does not exist answers %d, %v", transport, code, err)
		}
		if s := alice.Intercept("status").Out; !strings.Contains(s, "Network: proxy at "+strings.TrimPrefix(proxy, "http://")) {
			t.Errorf("status does not show the proxy:\n%s", s)
		}
		alice.Intercept("disconnect")
		if _, _, err := visit(browser(alice, proxy), "http://quote"); err == nil {
			t.Error("the proxy answers after disconnect")
		}
	}
}

// TestClusterNetwork: a Session tells where Services and pods are, and goes on
// telling it.
func TestClusterNetwork(t *testing.T) {
	l := lab.New(t, clusters)
	alice := l.Laptop("alice")
	alice.Intercept("connect", "--proxy")
	key := client.ObjectKey{Namespace: lab.ManagerNamespace, Name: alice.Status().Session.Session}
	var nodes corev1.NodeList
	l.Must(l.Client.List(t.Context(), &nodes))
	l.Until("the session has the cluster's network", func() error {
		var s v1alpha1.Session
		if err := l.Client.Get(t.Context(), key, &s); err != nil {
			return err
		}
		n := s.Status.Network
		if n == nil {
			return errors.New("none yet")
		}
		if n.ClusterDomain != "cluster.local" || !slices.Equal(n.DNSAddresses, []string{"10.96.0.10"}) || !slices.Equal(n.ServiceCIDRs, []string{"10.96.0.0/16"}) {
			return fmt.Errorf("%+v", n)
		}
		for _, node := range nodes.Items {
			for _, cidr := range node.Spec.PodCIDRs {
				p := netip.MustParsePrefix(cidr)
				if !slices.ContainsFunc(n.PodCIDRs, func(s string) bool {
					q := netip.MustParsePrefix(s)
					return q.Bits() <= p.Bits() && q.Contains(p.Addr())
				}) {
					return fmt.Errorf("pod CIDRs %v are not those of node %s: %s", n.PodCIDRs, node.Name, cidr)
				}
			}
		}
		return nil
	})
	// Another range of Services. The API server waits for its last Service
	// before it lets go of one, and there is none.
	more := &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "e2e-more"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.97.128.0/24"}}}
	l.Must(l.Client.Create(t.Context(), more))
	ranges := func(want ...string) func() error {
		return func() error {
			var s v1alpha1.Session
			if err := l.Client.Get(t.Context(), key, &s); err != nil {
				return err
			}
			if !slices.Equal(s.Status.Network.ServiceCIDRs, want) {
				return fmt.Errorf("service CIDRs are %v, want %v", s.Status.Network.ServiceCIDRs, want)
			}
			return nil
		}
	}
	l.Until("the session has the new range", ranges("10.96.0.0/16", "10.97.128.0/24"))
	l.Must(l.Client.Delete(t.Context(), more))
	l.Until("the session has lost the range again", ranges("10.96.0.0/16"))
}
