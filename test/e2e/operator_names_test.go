//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestOperatorNames: the chart's client.dns decides about names for programs that
// use the proxy, too.
func TestOperatorNames(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	l.Serving("quote", "http")
	quote := "quote." + l.Namespace
	alice := l.Laptop("alice")
	own := newResolver(t, alice, "127.0.0.53")
	upgrade(l, "--set", "client.dns.mappings[0].name=orders.example.test,client.dns.mappings[0].aliasFor="+quote,
		"--set", "client.dns.excludeSuffixes={svc.cluster.local}",
		"--set", "client.dns.includeSuffixes={"+quote+".svc.cluster.local,mail.example.test}")
	proxy := proxyOf(alice)
	for _, proxy := range []string{proxy, strings.Replace(proxy, "http://", "socks5h://", 1)} {
		c := browser(alice, proxy)
		l.Until("a mapped name leads to its Service", func() error {
			if code, body, err := visit(c, "http://orders.example.test"); err != nil || code != http.StatusOK || !strings.Contains(body, lab.Application) {
				return fmt.Errorf("%s: %d %q, %v", proxy, code, body, err)
			}
			return nil
		})
		// The longer suffix wins.
		if code, body, err := visit(c, "http://"+quote+".svc.cluster.local"); err != nil || code != http.StatusOK || !strings.Contains(body, lab.Application) {
			t.Errorf("%s: an included name: %d %q, %v", proxy, code, body, err)
		}
		if code, _, err := visit(c, "http://other."+quote+".svc.cluster.local"); err == nil && code != http.StatusBadGateway {
			t.Errorf("%s: an included name that does not exist: %d", proxy, code)
		}
		if code, _, err := visit(c, "http://mail.example.test"); err == nil && code != http.StatusBadGateway {
			t.Errorf("%s: an included name of the laptop's: %d", proxy, code)
		}
		if code, _, err := visit(c, "https://kubernetes.default.svc.cluster.local"); err == nil {
			t.Errorf("%s: an excluded name of the cluster answers %d", proxy, code)
		}
	}
	// The laptop's resolver is asked for what is excluded, and for nothing else.
	if len(own.heard("kubernetes.default.svc.cluster.local")) == 0 {
		t.Error("the laptop's resolver was not asked for an excluded name")
	}
	for _, name := range []string{"orders", quote, "mail"} {
		if names := own.heard(name); len(names) > 0 {
			t.Errorf("the laptop's resolver was asked for %q", names)
		}
	}
}
