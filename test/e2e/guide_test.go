//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// printed fails the test if a command did not print a text.
func printed(t *testing.T, what, text, want string) {
	t.Helper()
	if !strings.Contains(text, want) {
		t.Errorf("%s does not say %q:\n%s", what, want, text)
	}
}

// TestGuideIntercepts types what a page about intercepts of another tool types: login,
// names without a type, names with the namespace at their end, --workload.
func TestGuideIntercepts(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("kinds.yaml")
	set := l.Serving("set", "80")
	alice := l.Laptop("alice")
	program := alice.Serve("alice")
	printed(t, "login", alice.Intercept("login").Err, "there is nothing to log in to")

	o := alice.Intercept("set", "--port", program.To("80"), "--service", "set")
	printed(t, "intercept", o.Err, "using replicaset/set: there is no deployment set\n")
	printed(t, "intercept", o.Out, "Workload kind          : ReplicaSet\n")
	printed(t, "intercept", o.Out, "Intercepting           : all TCP connections\n")
	l.Answers(set, "alice")
	// The context's namespace is another, in which alice has no right.
	o = alice.Try("kubectl-intercept", "leave", "set-"+l.Namespace)
	if o.Failed {
		t.Errorf("leave set-%s failed: %s", l.Namespace, o.Err)
	}
	printed(t, "leave", o.Err, "kubectl intercept leave set -n "+l.Namespace+"\n")
	l.Answers(set, lab.Application)

	o = alice.Intercept("mine", "--workload", "set", "--port="+program.To("80"), "--preview-url=false")
	printed(t, "intercept", o.Out, "Intercept name         : mine\n")
	l.Answers(set, "alice")
	alice.Intercept("leave", "mine")
	l.Answers(set, lab.Application)
	o = alice.Intercept("set", "--port", program.To("80"), "--mechanism=http", "--http-match=auto", "--preview-url=false")
	printed(t, "intercept", o.Out, "Intercepting           : HTTP requests that match all of:\n")
	l.Answers(set, lab.Application)
	alice.Intercept("leave", "set")
}

// TestGuideEnd types what a walkthrough of another tool ends with: quit -u, quit -r and
// uninstall --everything.
func TestGuideEnd(t *testing.T) {
	l := lab.New(t, clusters)
	onlyHere(l)
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	admin, alice := administrator(l), l.Laptop("alice")
	alice.Intercept("connect")
	alice.Intercept("quote", "--port", alice.Serve("alice").To("http"))
	l.Answers(quote, "alice")
	o := alice.Intercept("quit", "-r")
	printed(t, "quit -r", o.Err, "kubectl intercept disconnect --all")
	l.Answers(quote, "alice")
	if o := alice.Sh("curl -sS --max-time 10 quote." + l.Namespace); o.Code != 6 { // "Could not resolve host"
		t.Errorf("after quit -r: %s%s", o.Out, o.Err)
	}
	printed(t, "quit -u", alice.Intercept("quit", "-u").Err, "kubectl intercept quit --all")
	l.Answers(quote, lab.Application)
	if n := len(alice.Sessions()); n > 0 {
		t.Errorf("after quit -u there are %d sessions", n)
	}
	l.Gone("quote")

	reinstalled(l)
	o = admin.Intercept("uninstall", "--everything")
	printed(t, "uninstall --everything", o.Err, "--everything can be left out")
	if all, err := kubectl(l, "get", "deploy,svc,pod", "-n", lab.ManagerNamespace, "-o", "name"); err != nil || strings.TrimSpace(all) != "" {
		t.Errorf("uninstall --everything leaves %s (%v)", all, err)
	}
	for _, args := range [][]string{
		{"helm", "install", "--set", "trafficManager.serviceMesh.type=istio", "--set", "clientRbac.allowEverybody=true"},
		{"helm", "install", "--upgrade", "--set", "logLevel=debug"},
		{"helm", "upgrade", "--set", "intercept.environment.excluded={DATABASE_PASSWORD,API_KEY}", "--set", "trafficManager.serviceMesh.type=none"},
	} {
		o := admin.Intercept(args...)
		printed(t, strings.Join(args, " "), o.Err, "it is called kubectl intercept ")
	}
	alice.Intercept("quote", "--port", alice.Serve("alice").To("http"))
	l.State("quote", v1alpha1.StateActive)
	alice.Intercept("leave", "quote")
	admin.Intercept("helm", "uninstall")
}
