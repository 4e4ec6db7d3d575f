//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestTransports does the main job over each way to the traffic-manager, and
// changes from one to the other without losing the intercept.
func TestTransports(t *testing.T) {
	l := lab.New(t, clusters)
	l.AllowPortForward()
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	alice := l.Laptop("alice")
	program := alice.Serve("alice")
	for _, transport := range []string{"service-proxy", "port-forward"} {
		alice.Intercept("add", "quote", "--port", program.To(""), "--transport", transport)
		l.Eventually(quote, "alice")
		if s := alice.Status().Session; s.Transport != transport || !s.Connected {
			t.Errorf("status says %+v, want %s", s, transport)
		}
		l.Until("a line carries the requests by "+transport, func() error {
			l.Answers(quote, "alice")
			if s := alice.Status().Session; s.Lines == 0 {
				return fmt.Errorf("status says %+v", s)
			}
			return nil
		})
		if out := alice.Intercept("env", "deploy/quote", "--transport", transport).Out; !strings.Contains(out, "KUBERNETES_SERVICE_HOST=") {
			t.Errorf("the pod's environment by %s: %s", transport, out)
		}
		if out := alice.Intercept("status").Out; !strings.Contains(out, "Transport: "+transport) {
			t.Errorf("status does not show %s", transport)
		}
	}
	alice.Intercept("leave", "quote")
	l.Answers(quote, lab.Application)
}
