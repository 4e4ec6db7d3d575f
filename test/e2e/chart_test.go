//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-intercept/kubectl-intercept/chart"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// profile is a file of values that the chart's tests render.
func profile(l *lab.Lab, name string) string {
	l.Helper()
	path, err := filepath.Abs("../../chart/testdata/profiles/" + name + ".yaml")
	l.Must(err)
	return path
}

// managers are the traffic-manager's pods, without those that end.
func managers(l *lab.Lab) []corev1.Pod {
	l.Helper()
	pods, err := l.Kube.CoreV1().Pods(lab.ManagerNamespace).List(l.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=traffic-manager"})
	l.Must(err)
	return slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
}

// TestProfiles installs the chart as platform teams do, and intercepts.
func TestProfiles(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  func(*lab.Lab) []string
		also func(*lab.Lab)
	}{
		{name: "ha", also: func(l *lab.Lab) {
			l.Until("the budget is for three pods", func() error {
				pdb, err := l.Kube.PolicyV1().PodDisruptionBudgets(lab.ManagerNamespace).Get(l.Context(), "traffic-manager", metav1.GetOptions{})
				if err == nil && pdb.Status.ExpectedPods != 3 {
					err = fmt.Errorf("it is for %d", pdb.Status.ExpectedPods)
				}
				return err
			})
			// The scheduler prefers to spread them; it does not promise to.
			nodes := map[string]int{}
			for _, p := range managers(l) {
				nodes[p.Spec.NodeName]++
				if c := p.Spec.TopologySpreadConstraints; len(c) != 1 || c[0].TopologyKey != corev1.LabelHostname || len(c[0].MatchLabelKeys) != 1 {
					l.Errorf("pod %s is to spread by %+v, want one constraint over nodes, within its own revision", p.Name, c)
				}
			}
			l.Logf("the pods are on %v", nodes)
		}},
		{name: "restricted", set: func(l *lab.Lab) []string {
			const label = "pod-security.kubernetes.io/enforce"
			if _, err := kubectl(l, "label", "namespace", lab.ManagerNamespace, label+"=restricted"); err != nil {
				l.Fatal(err)
			}
			l.Cleanup(func() {
				if _, err := l.Kube.CoreV1().Namespaces().Patch(context.Background(), lab.ManagerNamespace, types.MergePatchType,
					[]byte(`{"metadata":{"labels":{"`+label+`":null}}}`), metav1.PatchOptions{}); err != nil {
					l.Errorf("take the label off: %v", err)
				}
			})
			// The Prometheus operator is not here.
			return []string{"--set", "serviceMonitor.enabled=false,clientRbac.allowEverybody=false"}
		}},
		{name: "namespaced", set: func(l *lab.Lab) []string {
			return []string{"--set", "namespaces={" + l.Namespace + "}", "--set", "policy.forbidGlobalIntercepts.enabled=false",
				"--set", "clientRbac.allowEverybody=false", "--set", "clientRbac.namespaces={" + l.Namespace + "}"}
		}},
		{name: "istio"},
		{name: "linkerd"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := lab.New(t, clusters)
			l.Apply("quote.yaml")
			quote := l.Serving("quote", "http")
			args := []string{"-f", profile(l, tt.name)}
			if tt.set != nil {
				args = append(args, tt.set(l)...)
			}
			upgrade(l, args...)
			if tt.also != nil {
				tt.also(l)
			}
			// "namespaced" gives alice what she needs by itself.
			alice := l.Stranger("alice")
			if tt.name != "namespaced" {
				alice = l.Laptop("alice")
			}
			alice.Intercept("add", "quote", "-n", l.Namespace, "--port", alice.Serve("alice").To(""))
			l.Answers(quote, "alice")
			alice.Intercept("leave", "quote", "-n", l.Namespace)
			l.Answers(quote, lab.Application)
		})
	}
}

// TestTwoManagers: two releases, each for a namespace. Neither touches what is the
// other's, and one goes without a trace in the other.
func TestTwoManagers(t *testing.T) {
	l := lab.New(t, clusters)
	other := l.Another()
	l.Apply("quote.yaml")
	other.Apply("quote.yaml")
	quote, theirs := l.Serving("quote", "http"), other.Serving("quote", "http")
	second := l.NewNamespace(nil)
	upgrade(l, "--set", "namespaces={"+l.Namespace+"}")
	install := []string{"install", "-n", second, "-f", profile(l, "two-managers"), "--set", "namespaces={" + other.Namespace + "}", "--wait"}
	l.Must(l.Plugin(l.Context(), install...))
	gone := false
	uninstall := func(ctx context.Context) error { return l.Plugin(ctx, "uninstall", "-n", second, "--force") }
	t.Cleanup(func() {
		if !gone {
			_ = uninstall(context.Background())
		}
	})

	alice, bob := l.Laptop("alice"), other.Laptop("bob")
	alice.Intercept("add", "quote", "--port", alice.Serve("alice").To(""))
	bob.Intercept("add", "quote", "--manager-namespace", second, "--port", bob.Serve("bob").To(""))
	l.Answers(quote, "alice")
	other.Answers(theirs, "bob")
	bob.Intercept("leave", "quote", "--manager-namespace", second)
	other.Answers(theirs, lab.Application)

	l.Must(uninstall(l.Context()))
	gone = true
	l.Answers(quote, "alice")
	alice.Intercept("leave", "quote")
	l.Answers(quote, lab.Application)
}

// TestDrain: the budget keeps a drain from taking two traffic-managers at once.
// They come from the packaged chart.
func TestDrain(t *testing.T) {
	l := lab.New(t, clusters)
	archive, err := os.Create(filepath.Join(t.TempDir(), "chart.tgz"))
	l.Must(err)
	l.Must(chart.Archive(archive))
	l.Must(archive.Close())
	upgrade(l, "--chart", archive.Name(), "--set", "replicas=2")
	var pods []corev1.Pod
	l.Until("both pods count", func() error {
		pods = managers(l)
		pdb, err := l.Kube.PolicyV1().PodDisruptionBudgets(lab.ManagerNamespace).Get(l.Context(), "traffic-manager", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(pods) != 2 || pdb.Status.DisruptionsAllowed != 1 {
			return fmt.Errorf("%d pods, %d may go", len(pods), pdb.Status.DisruptionsAllowed)
		}
		return nil
	})
	refused := 0
	for _, p := range pods {
		err := l.Kube.PolicyV1().Evictions(p.Namespace).Evict(l.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name}})
		if err != nil {
			refused++
			if !strings.Contains(err.Error(), "disruption budget") {
				t.Errorf("evict %s: %v", p.Name, err)
			}
		}
	}
	if refused != 1 {
		t.Errorf("%d of 2 evictions were refused", refused)
	}
}

const byHand = `
apiVersion: kubectl-intercept.dev/v1alpha1
kind: Intercept
metadata: {namespace: NAMESPACE, name: by-hand}
spec:
  user: alice
  session: SESSION
  workload: {apiVersion: apps/v1, kind: Deployment, name: quote}
  ports: [{port: http, localPort: 8080}]
`

// TestForbidGlobal: the API server refuses global intercepts where the chart says
// so, to the plugin and to kubectl. What was there before stays, and can be left.
func TestForbidGlobal(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	alice := l.Laptop("alice")
	program := alice.Serve("alice")
	alice.Intercept("add", "quote", "--port", program.To(""))
	i, err := l.Get("quote")
	l.Must(err)

	upgrade(l, "--set", "policy.forbidGlobalIntercepts.enabled=true", "--set", "policy.forbidGlobalIntercepts.namespaces={"+l.Namespace+"}")
	const words = "intercepts that take all traffic are forbidden in namespace"
	l.Eventually(quote, "alice")
	change := false
	l.Until("the policy holds", func() error {
		change = !change
		o := alice.Try("kubectl", "patch", "intercept", "quote", "-n", l.Namespace, "--type=merge", "-p", fmt.Sprintf(`{"spec":{"noFallback":%t}}`, change))
		if !o.Failed {
			return errLetIn
		}
		if !strings.Contains(o.Err, words) {
			t.Errorf("the error is %q", o.Err)
		}
		return nil
	})
	alice.Intercept("leave", "quote")
	l.Answers(quote, lab.Application)
	alice.Refused([]string{"add", "quote", "--port", program.To("")}, words, "policy.forbidGlobalIntercepts")
	file := filepath.Join(t.TempDir(), "intercept.yaml")
	l.Must(os.WriteFile(file, []byte(strings.NewReplacer("NAMESPACE", l.Namespace, "SESSION", i.Spec.Session).Replace(byHand)), 0o644))
	if o := alice.Try("kubectl", "apply", "-f", file); !o.Failed || !strings.Contains(o.Err, words) {
		t.Error("kubectl apply is let in")
	}

	free := l.Another()
	free.Apply("quote.yaml")
	other := free.Serving("quote", "http")
	bob := free.Laptop("bob")
	bob.Intercept("add", "quote", "--port", bob.Serve("bob").To(""))
	free.Answers(other, "bob")
}
