//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestCheckObstacles: check finds what add would stumble over.
func TestCheckObstacles(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	admin, alice := administrator(l), l.Laptop("alice")
	says := func(p *lab.Laptop, texts ...string) {
		t.Helper()
		out := p.Try("kubectl-intercept", "check", "-n", l.Namespace).Out
		for _, text := range texts {
			if !strings.Contains(out, text) {
				t.Errorf("check of %s does not say %q", p.User, text)
			}
		}
	}
	says(admin, "√ namespace \""+l.Namespace+"\" lets an agent")
	down := deny(l, "pods/ephemeralcontainers", true)
	deniedEphemeral(l, down)
	says(admin, "‼ namespace \""+l.Namespace+"\" lets no agent", `failed calling webhook "`+down+`"`, "kubectl get validatingwebhookconfigurations")

	// A user with the rights to read and to intercept, and no more.
	l.Allow("carol", "view", l.Namespace)
	carol := l.Stranger("carol")
	says(carol, "‼ you may not reach the Services and pods of namespace", "you may not create pods/portforward")
	says(alice, "√ you may reach the Services and pods of namespace")

	upgrade(l, "--set", "policy.forbidGlobalIntercepts.enabled=true", "--set", "agent.LogLevel=info")
	l.Until("the API server heeds the new policy", func() error {
		out, err := alice.RunQuiet("check")
		if err == nil && !strings.Contains(out, "are forbidden") {
			return fmt.Errorf("check says nothing of it:\n%s", out)
		}
		return err
	})
	says(alice, "√ you may intercept in namespace \""+l.Namespace+"\": intercepts that take all traffic are forbidden in namespace \""+l.Namespace+"\"")
	o := admin.Intercept("upgrade", "--dry-run=server")
	if !strings.Contains(o.Err, "Warning: agent.LogLevel is deprecated") {
		t.Error("upgrade does not warn about what was set before")
	}
}
