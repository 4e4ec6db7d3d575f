package check_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/license"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/check"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/check/checktest"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// TestChecks breaks one thing in a world that is in order, and wants one
// check to say so.
func TestChecks(t *testing.T) {
	notFound := apierrors.NewNotFound(schema.GroupResource{Resource: "deployments"}, "traffic-manager")
	gone, soon := checktest.Noon.AddDate(0, 0, -1), checktest.Noon.AddDate(0, 0, 3)
	const (
		webhook  = "the webhook that adds agents"
		security = `namespace "shop" lets an agent`
		reached  = "it answers through"
		fast     = "flows take the fast way"
		policies = "its admission policies"
		networks = "the cluster's networks"
	)
	for name, test := range map[string]struct {
		ruin   func(*checktest.World)
		check  string
		status check.Status
		text   string // in detail or hint
	}{
		"unauthorized": {func(w *checktest.World) {
			w.Break("create", "selfsubjectreviews", apierrors.NewUnauthorized("token expired"))
		}, "the API server knows you", check.Failed, "token expired"},
		"unauthorized for everything": {func(w *checktest.World) {
			w.Break("get", "version", apierrors.NewUnauthorized("token expired"))
			w.Break("create", "selfsubjectreviews", apierrors.NewUnauthorized("token expired"))
		}, "the API server knows you", check.Failed, "token expired"},
		"old Kubernetes": {func(w *checktest.World) { w.Discovery().FakedServerVersion.GitVersion = "v1.29.4" },
			"Kubernetes is 1.30", check.Failed, "v1.29.4"},
		"policies not served": {func(w *checktest.World) { w.Discovery().Resources[0].APIResources = nil },
			"ValidatingAdmissionPolicy is served", check.Failed, "validatingadmissionpolicies"},
		"may not read workloads": {func(w *checktest.World) { w.Denied = []string{"list deployments", "get pods"} },
			"you may read the workloads", check.Failed, "you may not list deployments.apps, get pods"},
		"may not intercept": {func(w *checktest.World) { w.Denied = []string{"create intercepts"} },
			"you may intercept", check.Failed, "--clusterrole=edit --user=alice -n shop"},
		"may not connect": {func(w *checktest.World) { w.Denied = []string{"create sessions"} },
			"you may connect", check.Failed, "clientRbac.subjects"},
		"no way": {func(w *checktest.World) { w.Denied = []string{"get services/proxy", "create pods/portforward"} },
			"you may reach", check.Failed, "neither"},
		"service proxy only": {func(w *checktest.World) { w.Denied = []string{"create pods/portforward"} },
			"you may reach", check.OK, "by service proxy"},
		"reviews fail":  {func(w *checktest.World) { w.Break("create", "selfsubjectaccessreviews", errors.New("boom")) }, "you may connect", check.Failed, "boom"},
		"not installed": {func(w *checktest.World) { w.Manager = nil }, "traffic-manager is installed", check.Failed, "kubectl intercept install"},
		"version hidden": {func(w *checktest.World) { w.Denied = []string{"get configmaps"} },
			"traffic-manager is installed", check.Warning, "clientRbac.subjects"},
		"newer manager": {func(w *checktest.World) { w.Manager["version"] = "0.2.0" }, "plugin and traffic-manager fit", check.Failed, "krew upgrade"},
		"patch skew":    {func(w *checktest.World) { w.Manager["version"] = "0.1.1" }, "plugin and traffic-manager fit", check.Warning, "krew upgrade"},
		"odd version":   {func(w *checktest.World) { w.Manager["version"] = "main" }, "plugin and traffic-manager fit", check.Warning, "cannot be compared"},
		"elsewhere": {func(w *checktest.World) { w.Manager["namespaces"] = "blog,crm" },
			`it works in namespace "shop"`, check.Failed, "namespaces='{blog,crm,shop}'"},
		"here too":      {func(w *checktest.World) { w.Manager["namespaces"] = "blog,shop" }, `it works in namespace "shop"`, check.OK, ""},
		"no deployment": {func(w *checktest.World) { w.Break("get", "deployments", notFound) }, "its replicas", check.Failed, "no deployment"},
		"no pods": {func(w *checktest.World) { w.Break("get", "deployments", checktest.Forbidden("deployments", "no")) },
			"its replicas", check.Failed, "kubectl scale deployment traffic-manager -n intercept-system --replicas=1"},
		"replicas hidden": {func(w *checktest.World) { w.Deny("get deployments", "list pods"); w.Denied = nil }, "its replicas", check.Skipped, ""},
		"no CRD": {func(w *checktest.World) {
			w.Discovery().Resources[1].APIResources = []metav1.APIResource{{Name: "sessions"}}
		},
			"its resources", check.Failed, "does not serve intercepts.kubectl-intercept.dev"},
		"no CRDs": {func(w *checktest.World) { w.Discovery().Resources = w.Discovery().Resources[:1] },
			"its resources", check.Failed, "intercepts.kubectl-intercept.dev and sessions"},
		"names taken": {func(w *checktest.World) {
			w.Definitions["intercepts.kubectl-intercept.dev"] = []metav1.Condition{
				{Type: "NamesAccepted", Status: "False", Message: `"Intercept" is already in use`}, {Type: "Established", Status: "False"}}
		}, "its resources", check.Failed, `intercepts.kubectl-intercept.dev is not established: "Intercept" is already in use`},
		"too early": {func(w *checktest.World) { w.Definitions["sessions.kubectl-intercept.dev"] = nil },
			"its resources", check.Failed, "sessions.kubectl-intercept.dev is not established yet"},
		"definitions hidden": {func(w *checktest.World) { w.Denied = []string{"get customresourcedefinitions"}; w.Definitions = nil },
			"its resources", check.OK, ""},
		"no line by the Role": {func(w *checktest.World) {
			w.Line = line(checktest.Forbidden("services", "no"))
		}, fast, check.Warning, "you may not get services/proxy http:traffic-manager:tunnel; flows travel on carriers"},
		"no line": {func(w *checktest.World) { w.Line = line(errors.New("426 Upgrade Required")) }, fast, check.Warning, "426 Upgrade Required; flows"},
		"forged":  {func(w *checktest.World) { w.Forged = nil }, policies, check.Failed, "another user's name is accepted"},
		"may not try": {func(w *checktest.World) {
			w.Forged = checktest.Forbidden("intercepts", "no")
			w.Deny("get validatingadmissionpolicies")
		}, policies, check.Skipped, ""},
		"odd answer":      {func(w *checktest.World) { w.Forged = errors.New("boom") }, policies, check.Failed, "boom"},
		"no binding":      {func(w *checktest.World) { w.Break("get", "validatingadmissionpolicybindings", notFound) }, policies, check.Failed, "no validatingadmissionpolicybinding traffic-manager-intercept-system-owner"},
		"another release": {func(w *checktest.World) { w.Release = "tm" }, policies, check.Failed, "no validatingadmissionpolicy tm-intercept-system-owner"},
		"hidden rules":    {func(w *checktest.World) { w.Deny("get validatingadmissionpolicies") }, policies, check.OK, ""},
		"not reached":     {func(w *checktest.World) { w.Reach = reach(nil, errors.New("connection refused")) }, reached, check.Failed, "connection refused"},
		"refused": {func(w *checktest.World) { w.Reach = reach(&check.Reached{Refusal: "too far apart"}, nil) },
			reached, check.Failed, "too far apart"},
		"closed, and the other way is not allowed": {func(w *checktest.World) {
			w.Reach = reach(nil, errors.Join(&carrier.BetweenError{Transport: "service-proxy", Err: errors.New("502 Bad Gateway")},
				&carrier.NotPossibleError{Transport: "port-forward", Err: checktest.Forbidden("pods", "no")}))
		}, reached, check.Failed, "service proxy is closed (502 Bad Gateway)"},
		"slow": {func(w *checktest.World) {
			w.Reach = reach(&check.Reached{Transport: "service-proxy", RTT: time.Second}, nil)
		},
			reached, check.Warning, "round trip 1000 ms"},
		"by port-forward": {func(w *checktest.World) {
			w.Reach = reach(&check.Reached{Transport: "port-forward", Closed: errors.New("502 Bad Gateway")}, nil)
		}, reached, check.Warning, "502 Bad Gateway"},
		"webhook silent":  {func(w *checktest.World) { w.Warned = []string{"something else"} }, webhook, check.Failed, "says nothing"},
		"webhook away":    {func(w *checktest.World) { w.TryPod = tryPod(errors.New("failed calling webhook: no route")) }, webhook, check.Failed, "no route"},
		"quota":           {func(w *checktest.World) { w.TryPod = tryPod(errors.New("exceeded quota")) }, webhook, check.Skipped, "exceeded quota"},
		"webhook hidden":  {func(w *checktest.World) { w.Warned = nil; w.Deny("list mutatingwebhookconfigurations") }, webhook, check.Skipped, "may not see"},
		"webhook proven":  {func(w *checktest.World) { w.Deny("list mutatingwebhookconfigurations") }, webhook, check.OK, ""},
		"no webhook":      {func(w *checktest.World) { noWebhook(w) }, webhook, check.Skipped, "agents enter running pods"},
		"not selected":    {func(w *checktest.World) { unselect(w) }, webhook, check.Skipped, "does not look at namespace"},
		"not managed":     {func(w *checktest.World) { w.Manager["namespaces"] = "blog" }, webhook, check.Skipped, "does not work in"},
		"restricted":      {func(w *checktest.World) { noWebhook(w); w.Pod = podSecurity }, security, check.Failed, "kubectl label namespace shop --overwrite"},
		"with sidecars":   {func(w *checktest.World) { w.Pod = podSecurity }, security, check.Warning, "as sidecars"},
		"full namespace":  {func(w *checktest.World) { w.Pod = errors.New("exceeded quota") }, security, check.OK, "by its labels"},
		"no permission":   {func(w *checktest.World) { w.Deny("create pods", "get namespaces") }, security, check.Skipped, "no permission"},
		"no namespace":    {func(w *checktest.World) { w.Pod = errors.New("no"); w.Break("get", "namespaces", notFound) }, security, check.Failed, `there is no namespace "shop"`},
		"license silent":  {func(w *checktest.World) { w.License(nil) }, "the license", check.Warning, "not said anything"},
		"license absent":  {func(w *checktest.World) { w.License(&license.Report{State: license.Absent}) }, "the license", check.OK, "none is needed"},
		"license missing": {func(w *checktest.World) { w.License(&license.Report{State: license.Absent, Required: true}) }, "the license", check.Failed, "license id"},
		"license expired": {func(w *checktest.World) {
			w.License(&license.Report{State: license.Expired, Required: true, ValidUntil: &gone})
		}, "the license", check.Failed, "expired on 2026-11-30"},
		"expired, not required": {func(w *checktest.World) { w.License(&license.Report{State: license.Expired, ValidUntil: &gone}) },
			"the license", check.Warning, "expired on"},
		"license ends soon": {func(w *checktest.World) { w.License(&license.Report{State: license.Valid, ValidUntil: &soon}) },
			"the license", check.Warning, "another 3 days"},
		"other cluster": {func(w *checktest.World) {
			w.License(&license.Report{State: license.OtherCluster, Required: true, Message: "it is for a"})
		}, "the license", check.Failed, "it is for a"},
		"overlap": {func(w *checktest.World) {
			w.Machine.Routes = func() ([]check.Route, error) {
				return []check.Route{{Prefix: netip.MustParsePrefix("10.0.0.0/8"), Via: "tun0"}}, nil
			}
		}, networks, check.Warning, "Services have 10.96.0.0/16, this machine has 10.0.0.0/8 on tun0; pods of node-1 have 10.244.1.0/24"},
		"routes unreadable": {func(w *checktest.World) {
			w.Machine.Routes = func() ([]check.Route, error) { return nil, errors.New("no netlink") }
		}, networks, check.Skipped, "no netlink"},
		"ranges from an error": {func(w *checktest.World) {
			w.Deny("list servicecidrs", "list nodes")
			w.Break("create", "services", errors.New("not in the valid range. The range of valid IPs is 10.96.0.0/16, fd00::/108"))
		}, networks, check.OK, "Services 10.96.0.0/16, Services fd00::/108"},
		"overlap with a pod": {func(w *checktest.World) {
			w.Deny("list servicecidrs", "list nodes")
			w.AddPod("shop", "quote-1", "192.168.1.7")
		}, networks, check.Warning, "pod quote-1 have 192.168.1.7/32"},
		"no netd": {func(w *checktest.World) {
			w.Machine.Netd = func(context.Context) (string, error) { return "", errors.New("intercept-netd is not there") }
		},
			"connect has its root helper", check.Warning, "intercept-netd is not there\nintercepts, kubectl intercept connect --proxy"},
		"two plugins": {func(w *checktest.World) {
			w.Machine.LookPath = func(n string) (string, error) { return "/opt/" + n, nil }
		},
			"kubectl finds the plugin", check.Warning, "kubectl runs /opt/kubectl-intercept, this is /usr/local/bin/kubectl-intercept"},
		"no kubectl": {func(w *checktest.World) {
			w.Machine.LookPath = func(string) (string, error) { return "", errors.New("not found") }
		}, "kubectl is in PATH", check.Warning, "install kubectl"},
		"no folder": {func(w *checktest.World) {
			w.Machine.SessionsDir = func() (string, error) { return "", &state.CacheDirError{Path: "/home/alice/.cache", Owner: "root"} }
		}, "a session has a folder", check.Failed, "sudo chown -R \"$(id -u)\" /home/alice/.cache"},
		"no session": {func(w *checktest.World) {
			w.Session = func(context.Context) (*session.Status, error) { return nil, nil }
		},
			"the session is connected", check.Skipped, "none runs"},
		"the session's token ran out": {func(w *checktest.World) {
			w.Session = func(context.Context) (*session.Status, error) {
				return &session.Status{Connected: true, Rejected: true, LastError: "log in again"}, nil
			}
		}, "the session is connected", check.Failed, "log in again"},
		"the session does not connect": {func(w *checktest.World) {
			w.Session = func(context.Context) (*session.Status, error) {
				return &session.Status{PID: 7, Phase: "connecting to the traffic-manager", LastError: "answer 502"}, nil
			}
		}, "the session is connected", check.Failed, "process 7 is connecting to the traffic-manager: answer 502"},
		"the session is silent": {func(w *checktest.World) {
			w.Session = func(context.Context) (*session.Status, error) { return nil, errors.New("no answer") }
		}, "the session is connected", check.Failed, "no answer"},
	} {
		t.Run(name, func(t *testing.T) {
			w := checktest.New()
			test.ruin(w)
			r := check.Run(context.Background(), check.Categories(w.Env, false), time.Minute, nil)
			o := find(t, r, test.check)
			if o.Status != test.status || !strings.Contains(o.Detail+"\n"+o.Hint, test.text) {
				t.Errorf("%s: %q, hint %q", o.Status, o.Detail, o.Hint)
			}
			if r.Success != (r.Count(check.Failed) == 0) {
				t.Error("success does not fit")
			}
			if name != "reviews fail" && r.Count(check.Failed) > 1 {
				t.Errorf("one thing is broken, and %d checks fail: %+v", r.Count(check.Failed), r)
			}
		})
	}
}

var podSecurity = checktest.Forbidden("pods", `violates PodSecurity "baseline:latest": non-default capabilities`)

func find(t *testing.T, r *check.Report, name string) check.Outcome {
	t.Helper()
	for _, c := range r.Categories {
		for _, k := range c.Checks {
			if strings.HasPrefix(k.Check, name) {
				return k.Outcome
			}
		}
	}
	t.Fatalf("there is no check %q", name)
	return check.Outcome{}
}

func reach(r *check.Reached, err error) func(context.Context) (*check.Reached, error) {
	return func(context.Context) (*check.Reached, error) { return r, err }
}

func line(err error) func(context.Context) (time.Duration, error) {
	return func(context.Context) (time.Duration, error) { return 0, err }
}

func webhooks(w *checktest.World) *admissionv1.MutatingWebhookConfigurationList {
	list, _ := w.Fake.AdmissionregistrationV1().MutatingWebhookConfigurations().List(context.Background(), metav1.ListOptions{})
	return list
}

func noWebhook(w *checktest.World) {
	for _, c := range webhooks(w).Items {
		_ = w.Fake.AdmissionregistrationV1().MutatingWebhookConfigurations().Delete(context.Background(), c.Name, metav1.DeleteOptions{})
	}
}

func unselect(w *checktest.World) {
	for _, c := range webhooks(w).Items {
		c.Webhooks[0].NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "blue"}}
		_, _ = w.Fake.AdmissionregistrationV1().MutatingWebhookConfigurations().Update(context.Background(), &c, metav1.UpdateOptions{})
	}
}

func tryPod(err error) func(context.Context, *corev1.Pod) (*corev1.Pod, []string, error) {
	return func(context.Context, *corev1.Pod) (*corev1.Pod, []string, error) { return nil, nil, err }
}
