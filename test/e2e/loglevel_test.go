//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestLogLevel has the session, the traffic-manager and an agent log more for a few seconds.
// Nothing restarts, and each logs as before after that.
func TestLogLevel(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	admin, alice := administrator(l), l.Laptop("alice")
	program := alice.Serve("alice")
	alice.Intercept("add", "quote", "--port", program.To(""))
	l.Answers(quote, "alice")
	lives := l.Lives()
	before := len(managers(l))

	// Alice may only on her machine.
	session := alice.Status().Session.LogFile
	o := alice.Refused([]string{"loglevel", "debug", "--duration", "20s"}, `that needs "patch configmaps/traffic-manager" in namespace "`+lab.ManagerNamespace+`"`)
	if o.Out != "session: level debug for 20s, in "+session+"\n" {
		t.Errorf("of the session it says %s", o.Out)
	}
	in := func(what, text string, log func() (string, error)) {
		l.Helper()
		l.Until(what+" says "+text, func() error {
			all, err := log()
			if err == nil && !strings.Contains(all, text) {
				err = errors.New("it does not")
			}
			return err
		})
	}
	file := func() (string, error) {
		b, err := os.ReadFile(session)
		return string(b), err
	}
	manager := func() (string, error) {
		all := ""
		for _, p := range managers(l) {
			text, err := kubectl(l, "logs", p.Name, "-n", lab.ManagerNamespace)
			if err != nil {
				return "", err
			}
			all += text
		}
		return all, nil
	}
	agent := func() (string, error) {
		for _, p := range l.Pods() {
			for _, c := range p.Status.EphemeralContainerStatuses {
				return kubectl(l, "logs", p.Name, "-n", l.Namespace, "-c", c.Name)
			}
		}
		return "", errors.New("there is no agent")
	}
	in("the session", "another log level is asked for", file)
	in("the session", "the log level is its own again", file)

	admin.Intercept("loglevel", "debug", "--remote-only", "--duration", "20s")
	in("the traffic-manager", "another log level is asked for", manager)
	in("the traffic-manager", "level=DEBUG", manager)
	in("the agent", `"the log level is another one","to":"DEBUG"`, agent)
	in("the traffic-manager", "the log level is its own again", manager)
	in("the agent", `"the log level is another one","to":"INFO"`, agent)

	l.Answers(quote, "alice")
	if now := l.Lives(); now != lives || len(managers(l)) != before {
		t.Errorf("pods have changed:\n%s\n%s", lives, now)
	}

	// The same parts have versions.
	o = alice.Intercept("version")
	for _, part := range []string{"Client", "Session", "Manager"} {
		if !strings.Contains(o.Out, fmt.Sprintf("%s Version: %s\n", part, version.Version)) {
			t.Errorf("there is no version of the %s in\n%s", part, o.Out)
		}
	}
	if !strings.Contains(o.Out, "Agent Version: "+version.Version+" (1 pod)\n") || o.Err != "" {
		t.Errorf("of the agent it says\n%s%s", o.Out, o.Err)
	}
}
