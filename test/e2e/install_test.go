//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// administrator is the laptop of somebody who may do everything.
func administrator(l *lab.Lab) *lab.Laptop {
	l.Helper()
	p := l.Stranger("root")
	b := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: l.Namespace},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "root"}},
	}
	l.Must(l.Client.Create(l.Context(), b))
	l.Cleanup(func() {
		if err := l.Client.Delete(context.Background(), b); err != nil {
			l.Error(err)
		}
	})
	return p
}

// reinstalled has the product there again for the tests that follow, also where
// this one has stopped half-way.
func reinstalled(l *lab.Lab) {
	l.Cleanup(func() {
		ctx := context.Background()
		err := l.Install(ctx)
		if err != nil && strings.Contains(err.Error(), "already installed") {
			for _, args := range [][]string{{"scale", "--replicas=1"}, {"rollout", "status"}} {
				if _, err = kubectlWithin(ctx, l, append(args, "deploy/traffic-manager", "-n", lab.ManagerNamespace)...); err != nil {
					break
				}
			}
			if err == nil {
				err = defaults(ctx, l)
			}
		}
		if err != nil {
			l.Error(err)
		}
	})
}

// onlyHere waits until nobody intercepts but in the test's own namespace: those of
// earlier tests go in their own time.
func onlyHere(l *lab.Lab) {
	l.Helper()
	l.Until("the intercepts of earlier tests are gone", func() error {
		var list v1alpha1.InterceptList
		if err := l.Client.List(l.Context(), &list); err != nil {
			return err
		}
		for _, ic := range list.Items {
			if ic.Namespace != l.Namespace {
				return fmt.Errorf("%s/%s is there", ic.Namespace, ic.Name)
			}
		}
		return nil
	})
}

// TestInstall removes the product and brings it back. It is refused while
// somebody intercepts; with --force callers have the application again before
// the traffic-manager goes.
func TestInstall(t *testing.T) {
	l := lab.New(t, clusters)
	onlyHere(l)
	l.Apply("quote.yaml")
	quote, lives := l.Serving("quote", "http"), l.Lives()
	admin, alice := administrator(l), l.Laptop("alice")
	program := alice.Serve("alice")
	alice.Intercept("add", "quote", "--port", program.To(""))
	admin.Refused([]string{"install"}, "traffic-manager "+version.Version+" (revision ", ", deployed since ",
		") is already installed in namespace "+lab.ManagerNamespace+"; kubectl intercept upgrade changes it")
	o := admin.Refused([]string{"uninstall"}, "1 intercept would end with it:", "kubectl intercept uninstall --force ends them")
	inTable(l, o.Err, "NAMESPACE", "NAME", "USER", "WORKLOAD", "AGE")
	inTable(l, o.Err, l.Namespace, "quote", "alice", "deployment/quote")
	l.Answers(quote, "alice")

	admin.Intercept("upgrade", "--set", "logLevel=debug", "--wait")
	l.Eventually(quote, "alice")    // the session has found the new pod by itself
	for _, p := range managers(l) { // kubectl logs of the deployment takes one that ends, too
		if logs, err := kubectl(l, "logs", p.Name, "-n", lab.ManagerNamespace); err != nil || !strings.Contains(logs, "level=DEBUG") {
			t.Errorf("the upgrade did not change the log level of %s: %v", p.Name, err)
		}
	}

	reinstalled(l)
	o = admin.Intercept("uninstall", "--force")
	if !strings.Contains(o.Err, "Kept: namespace "+lab.ManagerNamespace+", customresourcedefinition intercepts.kubectl-intercept.dev") {
		t.Error("it does not say that the definitions are kept")
	}
	l.Answers(quote, lab.Application)
	idle(l, lives)
	for _, p := range l.Pods() {
		for _, c := range p.Status.EphemeralContainerStatuses {
			if c.State.Terminated == nil {
				t.Errorf("agent %s is still in pod %s", c.Name, p.Name)
			}
		}
	}
	admin.Refused([]string{"add", "quote", "--port", "8080", "-n", l.Namespace}, "traffic-manager is not installed", "run kubectl intercept install")
	// Who may not look cannot be told more.
	alice.Refused([]string{"add", "quote", "--port", program.To("")}, lab.ManagerNamespace)

	// Nobody else may connect until somebody says so.
	if o := admin.Intercept("install", "--wait"); !strings.Contains(o.Err, `User "`+admin.User+`" may connect. The value clientRbac.subjects names who else may`) {
		t.Errorf("install says %s", o.Err)
	}
	alice.Refused([]string{"add", "quote", "--port", program.To("")}, "no permission: user \"alice\" ", "chart value clientRbac.subjects")
	admin.Intercept("upgrade", "--wait", "--set-json", `clientRbac.subjects=[{"kind":"User","name":"alice"}]`)
	alice.Intercept("add", "quote", "--port", program.To(""))
	l.Answers(quote, "alice")
	alice.Intercept("leave", "quote")
	l.Answers(quote, lab.Application)
}

// inTable fails unless a line of the text begins with the words.
func inTable(l *lab.Lab, text string, words ...string) {
	l.Helper()
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) >= len(words) && strings.Join(f[:len(words)], " ") == strings.Join(words, " ") {
			return
		}
	}
	l.Errorf("no line says %q", words)
}

// TestUninstallDead removes a traffic-manager that does not run: nothing waits
// for it, and the definitions go too.
func TestUninstallDead(t *testing.T) {
	l := lab.New(t, clusters)
	onlyHere(l)
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	admin, alice := administrator(l), l.Laptop("alice")
	alice.Intercept("add", "quote", "--port", alice.Serve("alice").To(""))
	l.Answers(quote, "alice")
	reinstalled(l)
	if _, err := kubectl(l, "scale", "deploy/traffic-manager", "-n", lab.ManagerNamespace, "--replicas=0"); err != nil {
		t.Fatal(err)
	}
	l.Until("the traffic-manager is dead", func() error {
		pods, err := l.Kube.CoreV1().Pods(lab.ManagerNamespace).List(t.Context(), metav1.ListOptions{})
		if err == nil && len(pods.Items) > 0 { // with those that end
			err = fmt.Errorf("%d pods are there", len(pods.Items))
		}
		return err
	})
	admin.Refused([]string{"uninstall", "--delete-crds"}, "1 intercept would end with it:", l.Namespace)
	o := admin.Intercept("uninstall", "--delete-crds", "--force")
	for _, want := range []string{
		"The traffic-manager does not run, so it cannot end " + l.Namespace + "/quote; it is removed first",
		"Releasing " + l.Namespace + "/quote in place of the traffic-manager",
		"Deleted: customresourcedefinition intercepts.kubectl-intercept.dev",
		"Idle agents stay until these pods are replaced: ", l.Namespace + "/" + l.Pod().Name,
	} {
		if !strings.Contains(o.Err, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	l.Eventually(quote, lab.Application)
	var list v1alpha1.InterceptList
	if err := l.Client.List(t.Context(), &list); !apierrors.IsNotFound(err) {
		t.Errorf("there are intercepts still: %v, %v", list.Items, err)
	}
	for _, kind := range []string{"crd", "clusterrole", "clusterrolebinding", "validatingadmissionpolicy"} {
		if out, err := kubectl(l, "get", kind, "-o", "name"); err != nil || strings.Contains(out, "intercept") {
			t.Errorf("%v, left: %s", err, out)
		}
	}
	out, err := kubectl(l, "get", "deploy,pod,svc,cm,sa,secret,lease,role,rolebinding", "-o", "name", "-n", lab.ManagerNamespace)
	if err != nil || strings.Contains(out, "traffic-manager") {
		t.Errorf("%v, left: %s", err, out)
	}
	admin.Refused([]string{"uninstall"}, "traffic-manager is not installed in namespace "+lab.ManagerNamespace)
}
