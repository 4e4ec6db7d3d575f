//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestMainJob is what the product is for, with the real programs on both
// sides: a Service is answered by the laptop and, after leave, by the
// application, and nothing in the cluster was restarted.
func TestMainJob(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	quote, lives := l.Serving("quote", "http"), l.Lives()
	alice := l.Laptop("alice")
	program := alice.Command(t.Context(), "quote", "-listen", "127.0.0.1:8080", "-name", "alice")
	l.Must(program.Start())
	t.Cleanup(func() { _ = program.Wait() }) // it ends with the test's context

	out := alice.Intercept("add", "deploy/quote", "--port", "8080:http").Out
	l.Answers(quote, "alice")
	for _, want := range []string{"deployment.apps/quote intercepted", "ACTIVE", "127.0.0.1:8080"} {
		if !strings.Contains(out, want) {
			t.Errorf("add does not say %q", want)
		}
	}
	show(l, alice)
	if len(l.Redirects(l.Pod())) == 0 {
		t.Error("the pod has no redirect while it is intercepted")
	}

	alice.Intercept("leave", "quote")
	l.Answers(quote, lab.Application)
	idle(l, lives)
}

// show checks what people see of an active intercept.
func show(l *lab.Lab, p *lab.Laptop) {
	l.Helper()
	contains := func(text string, wants ...string) {
		l.Helper()
		for _, want := range wants {
			if !strings.Contains(text, want) {
				l.Errorf("no %q in\n%s", want, text)
			}
		}
	}
	contains(p.Kubectl("wait", "intercept/quote", "--for=condition=Active", "--timeout=10s"), "condition met")
	contains(p.Kubectl("get", "intercepts"), "WORKLOAD", "deployment/quote", "http", p.User, "Global", "Active")
	contains(p.Intercept("list").Out, "deployment/quote", "intercepted")
	contains(p.Intercept("status").Out, "Session: running", l.Namespace+"/quote: Active", "127.0.0.1:8080")
	l.Until("an event on the workload", func() error {
		events := p.Kubectl("events", "--for", "deployment/quote")
		if !strings.Contains(events, "Intercepted") || !strings.Contains(events, p.User) {
			return fmt.Errorf("the events are\n%s", events)
		}
		return nil
	})
	l.Until("connections are counted", func() error {
		wide, err := p.RunQuiet("list", "-o", "wide")
		if err == nil && !strings.Contains(wide, " ago") {
			err = fmt.Errorf("list says\n%s", wide)
		}
		return err
	})
}

// idle checks that a pod costs nothing and was not restarted.
func idle(l *lab.Lab, lives string) {
	l.Helper()
	if now := l.Lives(); now != lives {
		l.Errorf("something was restarted:\n%s\nbecame\n%s", lives, now)
	}
	for _, p := range l.Pods() {
		if rules := l.Redirects(&p); len(rules) > 0 {
			l.Errorf("pod %s still redirects: %q", p.Name, rules)
		}
		l.Within(30*time.Second, "the ruleset of pod "+p.Name+" is empty", func() error {
			rules, err := l.Ruleset(&p)
			if err == nil && strings.TrimSpace(rules) != "" {
				err = fmt.Errorf("it is\n%s", rules)
			}
			return err
		})
	}
}

// TestDeleteIsLeave ends an intercept with kubectl, as an administrator of
// the namespace would.
func TestDeleteIsLeave(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	quote, lives := l.Serving("quote", "http"), l.Lives()
	alice := l.Laptop("alice")
	alice.Intercept("add", "quote", "--port", alice.Serve("alice").To(""))
	l.Answers(quote, "alice")

	bob := l.Laptop("bob")
	bob.Kubectl("delete", "intercept", "quote")
	l.Answers(quote, lab.Application)
	idle(l, lives)
	if s := alice.Status(); len(s.Intercepts) != 0 {
		t.Errorf("status still shows %v", s.Intercepts)
	}
}
