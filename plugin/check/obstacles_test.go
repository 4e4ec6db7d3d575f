package check_test

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/license"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/check"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/check/checktest"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// TestObstacles: what add and connect would stumble over in a cluster where the
// product itself is in order.
func TestObstacles(t *testing.T) {
	const (
		security = `namespace "shop" lets an agent`
		alone    = "no other traffic-manager"
		read     = "you may read the workloads"
		may      = "you may intercept"
		reach    = `you may reach the Services and pods of namespace "shop"`
		there    = "traffic-manager is installed"
	)
	denied := func(code int32, text string) error {
		return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: code, Message: text}}
	}
	refuse := func(w *checktest.World, err error) {
		addRunning(w)
		w.Break("patch", "pods/ephemeralcontainers", err)
	}
	denies := func(words string) error {
		return checktest.Forbidden("intercepts", "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: "+words)
	}
	const (
		noGlobal  = `intercepts that take all traffic are forbidden in namespace "shop"`
		mustName  = `every intercept in namespace "shop" must match on the header "X-User", with a plain text that the expression "alice(-.*)?" matches: use --match X-User=VALUE`
		ofManager = ` of the traffic-manager in namespace "intercept-system")`
	)
	forbidGlobal := func(i *v1alpha1.Intercept) error {
		if i.Spec.Match == nil {
			return denies(noGlobal + " (policy.forbidGlobalIntercepts" + ofManager)
		}
		return nil
	}
	// requireMatch wants a header with one of these values.
	requireMatch := func(values ...string) func(*v1alpha1.Intercept) error {
		return func(i *v1alpha1.Intercept) error {
			if i.Spec.Match != nil && i.Spec.Match.Headers[0].Name == "X-User" && slices.Contains(values, i.Spec.Match.Headers[0].Regexp) {
				return nil
			}
			return denies(mustName + " (policy.requireMatch" + ofManager)
		}
	}
	both := func(i *v1alpha1.Intercept) error { return cmp.Or(forbidGlobal(i), requireMatch("alice")(i)) }
	refuseAll := func(err error) func(*v1alpha1.Intercept) error { return func(*v1alpha1.Intercept) error { return err } }
	for name, test := range map[string]struct {
		ruin   func(*checktest.World)
		check  string
		status check.Status
		texts  []string // in what is printed
	}{
		"an agent is let in": {addRunning, security, check.OK, nil},
		"denied without a code": {func(w *checktest.World) {
			noWebhook(w)
			refuse(w, denied(http.StatusBadRequest, `admission webhook "kyverno" denied the request: no debugging`))
		}, security, check.Failed, []string{"no debugging", "allow ephemeral containers named traffic-agent, with NET_ADMIN, in namespace shop"}},
		"denied, with sidecars": {func(w *checktest.World) {
			refuse(w, denied(http.StatusBadRequest, `admission webhook "kyverno" denied the request: no debugging`))
		}, security, check.Warning, []string{"no debugging", "agents come as sidecars here"}},
		"a webhook is down": {func(w *checktest.World) {
			noWebhook(w)
			refuse(w, denied(http.StatusInternalServerError, `Internal error occurred: failed calling webhook "deny.example.com": connection refused`))
		}, security, check.Failed, []string{"connection refused", "kubectl get validatingwebhookconfigurations"}},
		"may not try agents": {func(w *checktest.World) {
			refuse(w, checktest.Forbidden("pods", `User "alice" cannot patch resource "pods/ephemeralcontainers" in API group ""`))
			w.Pod = podSecurity
			noWebhook(w)
		}, security, check.Failed, []string{"non-default capabilities"}},
		"may not try agents, and a pod is let in": {func(w *checktest.World) {
			refuse(w, checktest.Forbidden("pods", `User "alice" cannot patch resource "pods/ephemeralcontainers" in API group ""`))
		}, security, check.OK, []string{"only somebody sees who may patch pods/ephemeralcontainers"}},
		"no dry run": {func(w *checktest.World) {
			refuse(w, denied(http.StatusBadRequest, `admission webhook "x" does not support dry run`))
		}, security, check.OK, nil},

		"another for all": {func(w *checktest.World) { w.AddManager("team-b", "") }, alone, check.Failed,
			[]string{"there is a traffic-manager already, in namespace team-b, for all namespaces", "kubectl intercept uninstall -n team-b"}},
		"another elsewhere": {func(w *checktest.World) { w.Manager["namespaces"] = "shop"; w.AddManager("team-b", "blog") }, alone, check.OK, nil},
		"another here":      {func(w *checktest.World) { w.Manager["namespaces"] = "blog,shop"; w.AddManager("team-b", "blog") }, alone, check.Failed, []string{"leave blog out of namespaces"}},
		"may not look":      {func(w *checktest.World) { w.Deny("list configmaps") }, alone, check.Skipped, []string{"you may not list configmaps"}},

		"some kinds hidden": {func(w *checktest.World) { w.Denied = []string{"list statefulsets", "get replicasets"} }, read, check.Warning,
			[]string{"list statefulsets.apps", "get replicasets.apps", "neither listed nor intercepted", "--clusterrole=edit --user=alice -n shop"}},
		"no kind readable": {func(w *checktest.World) {
			w.Denied = []string{"list deployments", "list statefulsets", "list daemonsets", "list replicasets", "list jobs"}
		}, read, check.Failed, []string{"list deployments.apps"}},
		"Services hidden": {func(w *checktest.World) { w.Denied = []string{"list services"} }, read, check.Failed, []string{"you may not list services"}},

		"only personal intercepts":                                   {func(w *checktest.World) { w.Admit = forbidGlobal }, may, check.OK, []string{noGlobal}},
		"only personal intercepts, by what the traffic-manager says": {func(w *checktest.World) { w.Manager["forbidGlobalIntercepts"] = "blog,shop"; w.Admit = forbidGlobal }, may, check.OK, []string{noGlobal}},
		"only personal intercepts, and settings are hidden":          {func(w *checktest.World) { w.Deny("get configmaps"); w.Admit = forbidGlobal }, may, check.OK, []string{noGlobal}},
		"a header is wanted":                                         {func(w *checktest.World) { w.Admit = requireMatch("alice") }, may, check.OK, []string{mustName}},
		"a header with another value is wanted":                      {func(w *checktest.World) { w.Admit = requireMatch("dev-alice") }, may, check.OK, []string{mustName}},
		"only personal intercepts, with a header":                    {func(w *checktest.World) { w.Admit = both }, may, check.OK, []string{noGlobal, mustName}},
		"neither global nor personal intercepts": {func(w *checktest.World) {
			w.Admit = func(i *v1alpha1.Intercept) error {
				return cmp.Or(forbidGlobal(i), denies("personal intercepts need a license in this cluster"))
			}
		}, may, check.Failed, []string{"an intercept would be refused", "personal intercepts need a license"}},
		"forbidden elsewhere":       {func(w *checktest.World) { w.Manager["forbidGlobalIntercepts"] = "blog" }, may, check.OK, nil},
		"another policy forbids it": {func(w *checktest.World) { w.Admit = refuseAll(checktest.Forbidden("intercepts", "not on Fridays")) }, may, check.Failed, []string{"not on Fridays"}},
		"definitions away": {func(w *checktest.World) {
			w.Admit = refuseAll(apierrors.NewNotFound(schema.GroupResource{Resource: "intercepts"}, ""))
		}, may, check.OK, nil},

		"nothing is dialed": {func(w *checktest.World) { w.Denied = []string{"create pods/portforward"} }, reach, check.Warning,
			[]string{"you may not create pods/portforward: connect and run reach nothing there", "--clusterrole=edit"}},
		"everything is dialed": {func(w *checktest.World) {
			w.Denied = []string{"create pods/portforward"}
			w.Manager["openNetwork"] = "true"
		}, reach, check.OK, nil},

		"its namespace is gone": {func(w *checktest.World) {
			w.Manager = nil
			w.Roles = []string{"traffic-manager-intercept-system"}
			i := v1alpha1.Intercept{}
			i.Namespace, i.Name = "shop", "quote"
			w.Intercepts = []v1alpha1.Intercept{i}
		}, there, check.Failed, []string{"intercept shop/quote, clusterrole traffic-manager-intercept-system", "kubectl intercept uninstall --force"}},
		"beside another one": {func(w *checktest.World) {
			w.Manager = nil
			w.AddManager("team-b", "")
			i := v1alpha1.Intercept{}
			i.Namespace, i.Name = "shop", "quote"
			w.Intercepts = []v1alpha1.Intercept{i}
		}, there, check.Failed, []string{"kubectl intercept install"}},

		"license invalid": {func(w *checktest.World) {
			w.License(&license.Report{State: license.Invalid, Message: "there is no public key"})
		}, "the license", check.Warning, []string{"the license is not valid", "there is no public key"}},
		"license without its Secret": {func(w *checktest.World) {
			w.License(&license.Report{State: license.Absent, Message: "there is no secret mine"})
		}, "the license", check.Warning, []string{"there is no license", "there is no secret mine"}},
		"license needed, without its Secret": {func(w *checktest.World) {
			w.License(&license.Report{State: license.Absent, Required: true, Message: "there is no secret mine"})
		}, "the license", check.Failed, []string{"there is no license", "there is no secret mine, and personal intercepts need one"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := checktest.New()
			test.ruin(w)
			o := find(t, check.Run(context.Background(), check.Categories(w.Env, false), time.Minute, nil), test.check)
			if o.Status != test.status {
				t.Errorf("%s: %q, hint %q", o.Status, o.Detail, o.Hint)
			}
			for _, text := range test.texts {
				if !strings.Contains(o.Says+"\n"+o.Detail+"\n"+o.Hint, text) {
					t.Errorf("%q, hint %q: no %q", o.Detail, o.Hint, text)
				}
			}
		})
	}
}

// TestAgreesWithAdd: where list and add have an obstacle, check has the same one.
func TestAgreesWithAdd(t *testing.T) {
	run := func(key, value, name string) (*target.Installation, check.Outcome) {
		w := checktest.New()
		w.Manager[key] = value
		i, err := target.Installed(t.Context(), w.Client, w.ManagerNamespace)
		if err != nil {
			t.Fatal(err)
		}
		return i, find(t, check.Run(t.Context(), check.Categories(w.Env, false), time.Minute, nil), name)
	}
	i, o := run("namespaces", "blog", "it works in")
	if obstacle := i.Obstacle("shop"); obstacle == nil || o.Status != check.Failed || o.Detail != obstacle.Reason || o.Hint != obstacle.Remedy {
		t.Errorf("check says %q, %q; add says %v", o.Detail, o.Hint, obstacle)
	}
	i, o = run("forbidGlobalIntercepts", "*", "you may intercept")
	if obstacle := i.GlobalObstacle("shop"); obstacle == nil || i.Obstacle("shop") != nil || o.Status != check.OK || o.Detail != obstacle.Reason {
		t.Errorf("check says %q, %q; add says %v", o.Detail, o.Hint, obstacle)
	}
}

// Before an installation, check finds what install would be refused for.
func TestInTheWay(t *testing.T) {
	for namespaces, want := range map[string]check.Status{"": check.Failed, "blog": check.Warning, "none": check.OK} {
		w := checktest.New()
		if namespaces != "none" {
			w.AddManager("team-b", namespaces)
		}
		r := check.Run(context.Background(), check.Categories(w.Env, true), time.Minute, nil)
		if o := find(t, r, "no other traffic-manager"); o.Status != want {
			t.Errorf("%q: %s, %s", namespaces, o.Status, o.Detail)
		}
	}
}

// addRunning adds a pod that an agent can enter.
func addRunning(w *checktest.World) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote-1"}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}
	if err := w.Fake.Tracker().Add(pod); err != nil {
		panic(errors.Join(errors.New("add a pod"), err))
	}
}
