//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// noSidecar waits until no pod has one.
func noSidecar(l *lab.Lab) {
	l.Helper()
	l.Until("no pod has a sidecar", func() error {
		for _, p := range l.Pods() {
			if len(p.Spec.Containers) > 1 {
				return fmt.Errorf("pod %s has %v", p.Name, containers(&p))
			}
		}
		return nil
	})
}

// TestSidecarAnnotated: an annotated pod has a sidecar without an intercept,
// which serves intercepts where the policy is WhenEnabled too.
func TestSidecarAnnotated(t *testing.T) {
	l := lab.New(t, clusters)
	quote := quoted(l, "http", 1, "telepresence.getambassador.io/inject-traffic-agent: enabled")
	if got := containers(l.Pod()); !slices.Equal(got, []string{"quote", "traffic-agent"}) {
		t.Errorf("containers %v of an annotated pod", got)
	}
	l.Answers(quote, lab.Application)

	upgrade(l, "--set", "agentInjector.injectPolicy=WhenEnabled")
	alice := l.Laptop("alice")
	alice.Intercept("add", "quote", "--port", alice.Serve("alice").To(""))
	l.Answers(quote, "alice")
	alice.Intercept("leave", "quote")
	l.Answers(quote, lab.Application)
}

// TestSidecarWhenEnabled: the policy WhenEnabled leaves pods alone that are not
// annotated.
func TestSidecarWhenEnabled(t *testing.T) {
	l := lab.New(t, clusters)
	quoted(l, "http", 1, "")
	upgrade(l, "--set", "agentInjector.injectPolicy=WhenEnabled")
	alice := l.Laptop("alice")
	alice.Refused([]string{"add", "quote", "--inject", "sidecar", "--port", alice.Serve("alice").To("")},
		"agentInjector.injectPolicy is WhenEnabled", "kubectl-intercept.dev/inject: enabled")
}

// TestSidecarIdle: a sidecar that serves nothing for agent.maxIdleTime goes.
func TestSidecarIdle(t *testing.T) {
	l := lab.New(t, clusters)
	quote := quoted(l, "http", 1, "")
	upgrade(l, "--set", "agent.maxIdleTime=1s")
	alice := l.Laptop("alice")
	alice.Intercept("add", "quote", "--inject", "sidecar", "--port", alice.Serve("alice").To(""))
	l.Answers(quote, "alice")
	alice.Intercept("leave", "quote")
	noSidecar(l)
	replaced(l)
}

// TestSidecarImage: the agent's image cannot be pulled.
func TestSidecarImage(t *testing.T) {
	l := lab.New(t, clusters)
	quote := quoted(l, "http", 1, "")
	upgrade(l, "--set", "agent.image.tag=absent")
	failsWell(l, l.Laptop("alice"), quote, "the image kubectl-intercept.dev/traffic-agent:absent cannot be pulled")
}

// TestSidecarImageStatefulSet: pods of a StatefulSet have to go before the image
// is found to be missing. They come back without a sidecar.
func TestSidecarImageStatefulSet(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("kinds.yaml")
	upgrade(l, "--set", "agent.image.tag=absent")
	alice := l.Laptop("alice")
	alice.Refused([]string{"add", "sts/store", "--inject", "sidecar", "--port", alice.Serve("alice").To("")}, "traffic-agent:absent cannot be pulled")
	noSidecar(l)
	l.Ready()
}

// TestSidecarWebhook: the API server does not reach the webhook.
func TestSidecarWebhook(t *testing.T) {
	l := lab.New(t, clusters)
	quote := quoted(l, "http", 1, "")
	restored(l)
	_, err := kubectl(l, "patch", "mutatingwebhookconfiguration", "agent-injector-traffic-manager-intercept-system", "--type=json",
		"-p", `[{"op":"replace","path":"/webhooks/0/clientConfig/service/port","value":444}]`)
	l.Must(err)
	failsWell(l, l.Laptop("alice"), quote, "was made without a sidecar", "the API server does not reach the webhook")
}
