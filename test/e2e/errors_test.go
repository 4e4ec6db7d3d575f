//go:build e2e

package e2e

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

var errLetIn = errors.New("let in")

// TestPodSecurity meets a namespace that admits restricted pods only: an
// ephemeral agent may not enter, and the error says what allows it.
func TestPodSecurity(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	alice := l.Laptop("alice")
	program := alice.Serve("alice")
	label := func(level string) {
		t.Helper()
		if _, err := kubectl(l, "label", "namespace", l.Namespace, "--overwrite", "pod-security.kubernetes.io/enforce="+level); err != nil {
			t.Fatal(err)
		}
	}
	label("restricted")
	alice.Refused([]string{"add", "quote", "--inject", "ephemeral", "--port", program.To("")},
		`the pod security level of namespace "`+l.Namespace+`" refuses an ephemeral container with NET_ADMIN`,
		"kubectl label namespace "+l.Namespace+" --overwrite pod-security.kubernetes.io/enforce=privileged")
	l.Gone("quote")
	l.Answers(quote, lab.Application)
	label("privileged")
	alice.Intercept("add", "quote", "--port", program.To(""))
	l.Answers(quote, "alice")
}

// kubectl is the administrator's.
func kubectl(l *lab.Lab, args ...string) (string, error) {
	return kubectlWithin(l.Context(), l, args...)
}

// kubectlWithin is kubectl for cleaning up, when the test's context has ended.
func kubectlWithin(ctx context.Context, l *lab.Lab, args ...string) (string, error) {
	return l.Tool(ctx, append([]string{"laptop", "--name", l.Cluster.Name, "admin", "--", l.Bin("kubectl")}, args...)...)
}

// TestMistakes are those that people make, each with an error that helps.
func TestMistakes(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	alice := l.Laptop("alice")
	alice.Refused([]string{"add", "qoute", "--port", "8080"},
		`deployment/qoute not found in namespace "`+l.Namespace+`"; did you mean deployment/quote?`)
	alice.Refused([]string{"add", "sts/quote", "--port", "8080"}, "did you mean deployment/quote?")
	alice.Refused([]string{"add", "quote", "--port", "8080:web"}, `deployment/quote has no port "web"`, "http (80, service/quote)")
	alice.Refused([]string{"add", "quote", "--port", "8080", "--manager-namespace", "elsewhere"}, "elsewhere")
	alice.Refused([]string{"leave", "quote"}, `you have no intercept "quote"`)
	if n := len(alice.Sessions()); n != 0 {
		t.Errorf("mistakes have started %d sessions", n)
	}
	admin := l.Stranger("root")
	if _, err := kubectl(l, "create", "clusterrolebinding", l.Namespace, "--clusterrole=cluster-admin", "--user=root"); err != nil {
		t.Fatal(err)
	}
	admin.Refused([]string{"add", "quote", "--port", "8080", "--manager-namespace", "elsewhere"},
		`traffic-manager is not installed in namespace "elsewhere": run kubectl intercept install`)
}

// TestOutput asks for objects and names in place of words, and for what would
// happen.
func TestOutput(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	alice := l.Laptop("alice")
	port := alice.Serve("alice").To("")
	for _, test := range []struct{ args, want string }{
		{"--dry-run=client", "deployment.apps/quote intercepted (dry run)\n"},
		{"--dry-run=server", "deployment.apps/quote intercepted (server dry run)\n"},
		{"--dry-run=client -o name", "intercept.kubectl-intercept.dev/quote\n"},
		{"--dry-run=client -o yaml", "kind: Intercept\n"},
		{"--dry-run=server -o json", `"kind": "Intercept"`},
	} {
		out := alice.Intercept(append([]string{"add", "quote", "--port", port}, strings.Fields(test.args)...)...).Out
		if !strings.Contains(out, test.want) {
			t.Errorf("%s prints %q, want %q", test.args, out, test.want)
		}
	}
	l.Gone("quote")
	if n := len(alice.Sessions()); n != 0 {
		t.Errorf("a dry run has started %d sessions", n)
	}
	o := alice.Intercept("add", "quote", "--port", port, "--wait=false", "-o", "name")
	if o.Out != "intercept.kubectl-intercept.dev/quote\n" {
		t.Errorf("-o name prints %q", o.Out)
	}
	l.State("quote", v1alpha1.StateActive)
	l.Answers(quote, "alice")
	if out := alice.Intercept("list", "-o", "name").Out; out != "deployment.apps/quote\n" {
		t.Errorf("list -o name prints %q", out)
	}
	alice.Intercept("leave", "quote", "--dry-run=server")
	l.Answers(quote, "alice")
	alice.Intercept("leave", "quote", "-q")
	l.Answers(quote, lab.Application)
}

// TestContexts has two contexts of the same cluster in one kubeconfig: each
// has a session of its own.
func TestContexts(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	alice := l.Laptop("alice")
	config, err := clientcmd.LoadFromFile(alice.Kubeconfig)
	l.Must(err)
	second := config.Contexts[config.CurrentContext].DeepCopy()
	second.Namespace = l.Namespace
	config.Contexts["second"] = second
	alice.Kubeconfig = filepath.Join(alice.Home, "config")
	l.Must(clientcmd.WriteToFile(*config, alice.Kubeconfig))
	alice.Intercept("add", "quote", "--port", alice.Serve("alice").To(""), "--context", "second")
	l.Answers(quote, "alice")
	if alice.Status().Running {
		t.Error("the first context has a session")
	}
	if out := alice.Intercept("status", "--context", "second").Out; !strings.Contains(out, "Session: running") {
		t.Error("the second context has no session")
	}
	alice.Intercept("leave", "quote") // the intercept is the user's, whatever the context
	l.Answers(quote, lab.Application)
}
