//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// goes takes a second traffic-manager out of its namespace when the test ends,
// whichever way it came.
func goes(l *lab.Lab, namespace string) {
	l.Cleanup(func() {
		ctx := context.Background()
		_, _ = kubectlWithin(ctx, l, "delete", "deploy", "traffic-manager", "-n", namespace, "--ignore-not-found")
		if err := l.Plugin(ctx, "uninstall", "-n", namespace, "--force"); err != nil && !strings.Contains(err.Error(), "is not installed") {
			l.Error(err)
		}
	})
}

// agentsOf are the agents that run in the namespace's pods.
func agentsOf(l *lab.Lab) (n int) {
	for _, p := range l.Pods() {
		for _, c := range p.Status.EphemeralContainerStatuses {
			if c.State.Running != nil {
				n++
			}
		}
	}
	return n
}

// TestSecondManager: beside a traffic-manager for all namespaces there is no
// second one, whoever installs it, and what was left of it goes without harm.
func TestSecondManager(t *testing.T) {
	l := lab.New(t, clusters)
	onlyHere(l)
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	admin, alice := administrator(l), l.Laptop("alice")
	alice.Intercept("add", "quote", "--port", alice.Serve("alice").To(""))
	l.Answers(quote, "alice")
	other := l.NewNamespace(nil)
	goes(l, other)

	const already = "there is a traffic-manager already, in namespace " + lab.ManagerNamespace + ", for all namespaces"
	o := admin.Refused([]string{"install", "-n", other}, already, "kubectl intercept upgrade changes that one")
	if strings.Contains(o.Err, "crds.create") {
		t.Error("it advises to make two of them")
	}
	admin.Refused([]string{"install", "-n", other, "--set", "crds.create=false"}, already)
	admin.Refused([]string{"install", "-n", other, "--set", "crds.create=false", "--set", "namespaces={" + l.Namespace + "}"}, already)

	// GitOps asks nobody: the traffic-manager itself does not start.
	rendered := admin.Intercept("install", "-n", other, "--dry-run=client", "-o", "yaml", "--set", "crds.create=false").Out
	file := filepath.Join(admin.Home, "manager.yaml")
	l.Must(os.WriteFile(file, []byte(rendered), 0o600))
	admin.Kubectl("apply", "-n", other, "-f", file)
	l.Until("the second traffic-manager says why it does not start", func() error {
		var pods corev1.PodList
		if err := l.Client.List(t.Context(), &pods, client.InNamespace(other)); err != nil {
			return err
		}
		for _, p := range pods.Items {
			for _, args := range [][]string{{"logs", p.Name, "-n", other}, {"logs", p.Name, "-n", other, "--previous"}} {
				logs, err := kubectl(l, args...)
				if err == nil && strings.Contains(logs, "the traffic-manager in namespace "+lab.ManagerNamespace+" works in all namespaces already") {
					return nil
				}
			}
		}
		return fmt.Errorf("%d pods, and none says it", len(pods.Items))
	})
	l.Answers(quote, "alice")
	check := admin.Try("kubectl-intercept", "check", "-n", l.Namespace)
	if !strings.Contains(check.Out, "× another traffic-manager works there as well: there is a traffic-manager already, in namespace "+other) {
		t.Error("check does not see two of them")
	}
	admin.Refused([]string{"uninstall", "-n", other}, "deployment traffic-manager is there: delete it where it was made")
	if _, err := kubectl(l, "delete", "deploy", "traffic-manager", "-n", other); err != nil {
		t.Fatal(err)
	}
	o = admin.Intercept("uninstall", "-n", other)
	if !strings.Contains(o.Err, "clusterrole traffic-manager-"+other) || agentsOf(l) == 0 {
		t.Error("what was left stays, or agents of the first one went")
	}
	l.Answers(quote, "alice")
	alice.Intercept("leave", "quote")
}

// twoNamespaces are labs in a cluster that no other test uses, each with the
// application, and the addresses at which that is served.
func twoNamespaces(t *testing.T) (l, second *lab.Lab, quotes []string) {
	l = lab.New(t, clusters)
	onlyHere(l)
	second = l.Another()
	l.Apply("quote.yaml")
	second.Apply("quote.yaml")
	return l, second, []string{l.Serving("quote", "http"), second.Serving("quote", "http")}
}

// TestNeighbors: two for namespaces of their own do well, and one goes without
// the other one's agents and the definitions.
func TestNeighbors(t *testing.T) {
	l, second, quotes := twoNamespaces(t)
	admin, alice := administrator(l), l.Laptop("alice")
	upgrade(l, "--set", "namespaces={"+l.Namespace+"}")
	other := l.NewNamespace(nil)
	goes(l, other)
	admin.Intercept("install", "-n", other, "--set", "crds.create=false", "--set", "namespaces={"+second.Namespace+"}", "--set", "clientRbac.allowEverybody=true")
	bob := second.Laptop("bob")
	alice.Intercept("add", "quote", "--port", alice.Serve("alice").To(""))
	bob.Intercept("add", "quote", "--manager-namespace", other, "--port", bob.Serve("bob").To(""))
	l.Answers(quotes[0], "alice")
	second.Answers(quotes[1], "bob")
	check := admin.Try("kubectl-intercept", "check", "-n", l.Namespace)
	if !strings.Contains(check.Out, "√ no other traffic-manager works there") {
		t.Error("check does not see that they do not overlap")
	}
	admin.Refused([]string{"upgrade", "-n", other, "--set", "namespaces={" + l.Namespace + "," + second.Namespace + "}"},
		"in namespace "+lab.ManagerNamespace+", for namespace "+l.Namespace, "leave "+l.Namespace+" out of namespaces")
	admin.Refused([]string{"upgrade", "--reset-values"}, "this one needs a list of other namespaces")

	admin.Refused([]string{"uninstall", "-n", other}, "1 intercept would end with it:", second.Namespace)
	o := admin.Intercept("uninstall", "-n", other, "--dry-run", "--force")
	if !strings.Contains(o.Out, "would be uninstalled from namespace "+other+" (dry run)") || strings.Contains(o.Err, l.Namespace+"/") ||
		!strings.Contains(o.Err, "Would end: "+second.Namespace+"/quote") || !strings.Contains(o.Err, "Would delete: ") {
		t.Error("the dry run does not say what would be")
	}
	second.Answers(quotes[1], "bob")
	admin.Intercept("uninstall", "-n", other, "--force")
	second.Answers(quotes[1], lab.Application)
	l.Answers(quotes[0], "alice")
	if agentsOf(l) == 0 {
		t.Error("the agents of the first one are gone")
	}
	alice.Intercept("leave", "quote")
}

// TestManagerNamespaceGone: somebody deletes the traffic-manager's namespace while
// there are intercepts. Their owner ends his own, an administrator all of them
// and everything else that was installed.
func TestManagerNamespaceGone(t *testing.T) {
	l, second, quotes := twoNamespaces(t)
	admin, alice, bob := administrator(l), l.Laptop("alice"), second.Laptop("bob")
	alice.Intercept("add", "quote", "--port", alice.Serve("alice").To(""))
	bob.Intercept("add", "quote", "--port", bob.Serve("bob").To(""))
	l.Answers(quotes[0], "alice")
	second.Answers(quotes[1], "bob")
	reinstalled(l)
	// It would end them yet, were it fast enough.
	for _, args := range [][]string{
		{"scale", "deploy/traffic-manager", "-n", lab.ManagerNamespace, "--replicas=0"},
		{"wait", "pod", "-n", lab.ManagerNamespace, "-l", "app.kubernetes.io/name=traffic-manager", "--for=delete", "--timeout=60s"},
		{"delete", "namespace", lab.ManagerNamespace, "--timeout=60s"},
	} {
		if _, err := kubectl(l, args...); err != nil {
			t.Fatal(err)
		}
	}
	l.Eventually(quotes[0], lab.Application)
	if s := alice.Status(); len(s.Intercepts) != 1 || !strings.Contains(s.Intercepts[0].Message, "there is no traffic-manager") {
		t.Errorf("status says %+v", s.Intercepts)
	}
	check := admin.Try("kubectl-intercept", "check", "-n", l.Namespace)
	for _, want := range []string{"× traffic-manager is not installed", "intercept " + second.Namespace + "/quote", "clusterrole traffic-manager-" + lab.ManagerNamespace} {
		if !strings.Contains(check.Out, want) {
			t.Errorf("check does not say %q", want)
		}
	}
	alice.Intercept("leave", "quote")
	l.Gone("quote")
	l.Answers(quotes[0], lab.Application)

	if _, err := kubectl(l, "delete", "namespace", second.Namespace, "--wait=false"); err != nil {
		t.Fatal(err)
	}
	admin.Refused([]string{"uninstall"}, "1 intercept would end with it:", second.Namespace)
	o := admin.Intercept("uninstall", "--force")
	for _, want := range []string{"Releasing " + second.Namespace + "/quote in place of the traffic-manager", "clusterrolebinding traffic-manager-" + lab.ManagerNamespace} {
		if !strings.Contains(o.Err, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	l.Until("the namespace of the intercept is gone", func() error {
		_, err := l.Kube.CoreV1().Namespaces().Get(t.Context(), second.Namespace, metav1.GetOptions{})
		if err == nil {
			return fmt.Errorf("it is there")
		}
		return client.IgnoreNotFound(err)
	})
	for _, kind := range []string{"clusterrole", "clusterrolebinding", "validatingadmissionpolicy", "validatingadmissionpolicybinding", "mutatingwebhookconfiguration", "role -A", "rolebinding -A"} {
		args := append(append([]string{"get"}, strings.Fields(kind)...), "-o", "name", "-l", "app.kubernetes.io/part-of=kubectl-intercept")
		if out, err := kubectl(l, args...); err != nil || strings.TrimSpace(out) != "" {
			t.Errorf("%v, left: %s", err, out)
		}
	}
	admin.Refused([]string{"uninstall"}, "traffic-manager is not installed in namespace "+lab.ManagerNamespace)
	// The definitions are what stays by intent.
	admin.Intercept("uninstall", "--delete-crds")
	if out, err := kubectl(l, "get", "crd", "-o", "name"); err != nil || strings.Contains(out, "kubectl-intercept.dev") {
		t.Errorf("%v, left: %s", err, out)
	}
}
