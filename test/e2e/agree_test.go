//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// row is what list says of a workload.
func row(t *testing.T, list, workload string) string {
	t.Helper()
	for line := range strings.Lines(list) {
		if name, state, ok := strings.Cut(line, " "); ok && name == workload {
			return strings.TrimSpace(state)
		}
	}
	t.Fatalf("no %s in\n%s", workload, list)
	return ""
}

// TestAdvice types what errors about ports and Services advise, on a workload whose
// ports are hard to name, and looks where the traffic goes.
func TestAdvice(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("odd.yaml")
	named, numbered := l.Serving("odd", "8080"), l.Serving("odd", "http")
	alice := l.Laptop("alice")
	program := alice.Serve("alice")

	said := alice.Refused([]string{"add", "odd", "--port", program.To("")}, "deployment/odd has several ports").Err
	choices := regexp.MustCompile(`(\S+) \(([^)]*)\)`).FindAllStringSubmatch(said, -1)
	if len(choices) != 3 {
		t.Fatalf("it offers %q, want three ports", choices)
	}
	for _, c := range choices {
		alice.Intercept("add", "odd", "--port", program.To(c[1]))
		switch {
		case strings.Contains(c[2], `named "8080"`):
			l.Answers(named, "alice")
			l.Eventually(numbered, lab.Application)
		case strings.HasPrefix(c[2], "8080,"):
			l.Answers(numbered, "alice")
			l.Eventually(named, lab.Application)
		case !strings.Contains(c[2], "UDP"):
			t.Errorf("it offers %s", c[0])
		}
	}
	// A number is a port's number.
	alice.Intercept("add", "odd", "--port", program.To("8080"))
	l.Answers(numbered, "alice")
	l.Eventually(named, lab.Application)

	_, flags, ok := strings.Cut(alice.Refused([]string{"add", "odd", "--port", program.To("8080"), "--service", "nothere"}, "service/nothere").Err, "for example ")
	if !ok {
		t.Fatal("it gives no example")
	}
	alice.Intercept("leave", "odd")
	alice.Intercept(append([]string{"add", "odd", "--port", program.To("8080")}, strings.Fields(flags)...)...)
	l.Answers(numbered, "alice")

	// kubectl writes protocols in capitals.
	udp := alice.ServeUDP("alice")
	alice.Intercept("add", "odd", "--port", udp.To("53/UDP"))
	l.Until("a datagram is answered on the laptop", func() error {
		got, err := l.Nodes[0].AskUDP(t.Context(), l.Service("odd", "dns"))
		if err == nil && got != "alice" {
			err = fmt.Errorf("it is answered by %s", got)
		}
		return err
	})
	_, flags, ok = strings.Cut(alice.Refused([]string{"add", "odd", "--port", program.To("http/UDP")}, "is a TCP port, not UDP").Err, "for example ")
	if !ok {
		t.Fatal("it gives no example")
	}
	alice.Intercept(append([]string{"add", "odd"}, strings.Fields(flags)...)...)
	l.Answers(numbered, "alice")
	alice.Intercept("leave", "odd")

	// list and add agree about a pod of which nothing is known but its pod.
	if state := row(t, alice.Intercept("list").Out, "pod/plain"); state != "ready to intercept" {
		t.Errorf("list says %q", state)
	}
	alice.Intercept("add", "pod/plain", "--port", program.To("8080"))
	var plain corev1.Pod
	l.Must(l.Client.Get(t.Context(), client.ObjectKey{Namespace: l.Namespace, Name: "plain"}, &plain))
	l.Answers(net.JoinHostPort(plain.Status.PodIP, "8080"), "alice")
	if got := alice.Intercept("list", "-l", "team=checkout", "--no-headers").Out; row(t, got, "pod/plain") != "intercepted" || row(t, got, "deployment/odd") != "ready to intercept" {
		t.Errorf("list -l says\n%s", got)
	}
	if o := alice.Intercept("list", "-l", "team=other"); o.Out != "" || !strings.Contains(o.Err, "No workloads with labels team=other found.") {
		t.Errorf("list -l says\n%s%s", o.Out, o.Err)
	}
	alice.Refused([]string{"list", "deploy"}, `list takes no arguments, but "deploy" was given`)
	alice.Refused([]string{"ad", "odd", "--port", "8080"}, `unknown command "ad"`, "did you mean add?")
}

// TestNarrow is a user whose role knows deployments, pods and Services only.
func TestNarrow(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	carol := l.Stranger("carol")
	grant(l, "carol", rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"get", "list"}},
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods", "services"}, Verbs: []string{"get", "list"}})

	const gap = `you may not list statefulsets.apps, daemonsets.apps, replicasets.apps, jobs.batch`
	o := carol.Intercept("list")
	if row(t, o.Out, "deployment/quote") != "not known: you may not list intercepts" || strings.Count(o.Err, gap) != 1 {
		t.Errorf("list says\n%s%s", o.Out, o.Err)
	}
	grant(l, "carol", rbacv1.PolicyRule{APIGroups: []string{"kubectl-intercept.dev"}, Resources: []string{"intercepts"}, Verbs: []string{"*"}})
	o = carol.Intercept("list")
	if row(t, o.Out, "deployment/quote") != "ready to intercept" || strings.Count(o.Err, gap) != 1 {
		t.Errorf("list says\n%s%s", o.Out, o.Err)
	}
	if out := carol.Intercept("add", "svc/quote", "--port", carol.Serve("carol").To("")).Out; !strings.Contains(out, "deployment.apps/quote intercepted") {
		t.Errorf("add says\n%s", out)
	}
	l.Answers(quote, "carol")
	if o = carol.Intercept("list"); row(t, o.Out, "deployment/quote") != "intercepted" {
		t.Errorf("list says\n%s", o.Out)
	}
	carol.Intercept("leave", "quote")
	l.Answers(quote, lab.Application)
}

// grant gives a user rules in the test's namespace.
func grant(l *lab.Lab, user string, rules ...rbacv1.PolicyRule) {
	l.Helper()
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, GenerateName: user + "-"}, Rules: rules}
	l.Must(l.Client.Create(l.Context(), role))
	l.Must(l.Client.Create(l.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: role.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}))
}

// TestAgreement has list and check say what add says where nothing can be intercepted: beside
// the traffic-manager's namespaces, and without a traffic-manager, whose definitions stay;
// and where the chart forbids to take all traffic.
func TestAgreement(t *testing.T) {
	l := lab.New(t, clusters)
	onlyHere(l)
	l.Apply("quote.yaml")
	alice := l.Laptop("alice")
	program := alice.Serve("alice")
	agree := func(reason string) {
		t.Helper()
		alice.Refused([]string{"add", "quote", "--port", program.To("")}, "deployment/quote cannot be intercepted: "+reason)
		if state := row(t, alice.Intercept("list").Out, "deployment/quote"); state != "not interceptable: "+reason {
			t.Errorf("list says %q, want %q", state, reason)
		}
		if out := alice.Try("kubectl-intercept", "check", "-n", l.Namespace).Out; !strings.Contains(out, ": "+reason+"\n") {
			t.Errorf("check does not say %q:\n%s", reason, out)
		}
	}
	elsewhere := l.NewNamespace(nil)
	upgrade(l, "--set", "namespaces={"+elsewhere+"}")
	agree(fmt.Sprintf("the traffic-manager in namespace %q works only in %s", lab.ManagerNamespace, elsewhere))
	upgradeAgain(l, "--set", "policy.forbidGlobalIntercepts.enabled=true")
	global := fmt.Sprintf("intercepts that take all traffic are forbidden in namespace %q (policy.forbidGlobalIntercepts)", l.Namespace)
	alice.Refused([]string{"add", "quote", "--port", program.To("")}, "deployment/quote cannot be intercepted like this: "+global)
	if state := row(t, alice.Intercept("list").Out, "deployment/quote"); state != "ready to intercept with --match" {
		t.Errorf("list says %q", state)
	}
	if out := alice.Try("kubectl-intercept", "check", "-n", l.Namespace).Out; !strings.Contains(out, "√ you may intercept in namespace \""+l.Namespace+"\": "+global+"\n") {
		t.Errorf("check does not say %q:\n%s", global, out)
	}
	if n := len(alice.Sessions()); n != 0 {
		t.Errorf("refusals have started %d sessions", n)
	}

	admin := administrator(l)
	reinstalled(l)
	admin.Intercept("uninstall")
	for _, args := range [][]string{{"list"}, {"add", "quote", "--port", program.To("")}} {
		admin.Refused(args, fmt.Sprintf("traffic-manager is not installed in namespace %q: run kubectl intercept install", lab.ManagerNamespace))
	}
}
