//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/environment"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestEnvironment: the environment of a container comes to the laptop as its process has
// it, but for what the operator excludes: by a privileged agent, and, beside a sidecar, where
// the pod security level admits no privileges. No traffic is taken, no pod replaced, and
// nothing is left.
func TestEnvironment(t *testing.T) {
	const user = "runAsUser: 1000, runAsNonRoot: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}"
	for level, user := range map[string]string{"privileged": "", "restricted": user} {
		t.Run(level, func(t *testing.T) {
			l := lab.New(t, clusters)
			upgrade(l, "--set", "intercept.environment.excluded={DATABASE_PASSWORD,CRED_DATABASE_PASSWORD}")
			_, err := kubectl(l, "label", "namespace", l.Namespace, "pod-security.kubernetes.io/enforce="+level)
			l.Must(err)
			l.Apply("environment.yaml", "{USER}", "{"+user+"}")
			alice := l.Laptop("alice")
			if level == "restricted" { // where an ephemeral agent that captures ports is refused
				alice.Intercept("add", "quote", "--port", alice.Serve("alice").To(""))
				replaced(l)
			}
			lives := l.Lives()
			pod := l.Pod()
			want := variables(l, pod, "-listen=:8080")
			for _, name := range []string{"DATABASE_PASSWORD", "CRED_DATABASE_PASSWORD"} {
				if !strings.Contains(want[name], "s3cret") {
					t.Errorf("the container has %s=%q", name, want[name])
				}
				delete(want, name)
			}
			sees := func(want map[string]string, flags ...string) {
				t.Helper()
				o := alice.Intercept(append([]string{"env", "deploy/quote", "--env-syntax", "json"}, flags...)...)
				if strings.Contains(o.Out+o.Err, "s3cret") {
					t.Error("the environment has the value of an excluded variable")
				}
				got := map[string]string{}
				l.Must(json.Unmarshal([]byte(o.Out), &got))
				for _, name := range slices.Sorted(maps.Keys(got)) {
					if v, ok := want[name]; (!ok || v != got[name]) && !strings.HasPrefix(name, "INTERCEPT_") && !strings.HasPrefix(name, "TELEPRESENCE_") {
						t.Errorf("%s is %q here, and %q in the container", name, got[name], v)
					}
				}
				for _, name := range slices.Sorted(maps.Keys(want)) {
					if _, ok := got[name]; !ok && !isLocal(name) {
						t.Errorf("%s, which is %q in the container, is not here", name, want[name])
					}
				}
			}
			sees(want)
			for name, value := range map[string]string{"LITERAL": "a green b $(UNKNOWN) c $(COLOR)", "CRED_API_KEY": "geheim", "OWNER": "Ülker", "EMPTY": "",
				"LINES": "first line\nsecond \"line\" with 'quotes', $HOME and \\backslash\n", "MEMORY": "67108864", "POD_NAME": pod.Name} {
				if v, ok := want[name]; !ok || v != value {
					t.Errorf("the container has %s=%q, want %q", name, v, value)
				}
			}
			sees(variables(l, pod, "-listen=:8081"), "--container", "beside")

			file := alice.Home + "/quote.env"
			alice.Intercept("env", "quote", "--env-syntax", "sh:export", "--env-file", file)
			if i, err := os.Stat(file); err != nil || i.Mode() != 0o600 {
				t.Errorf("the file is %v, %v", i, err)
			}
			if o := alice.Sh(". " + file + ` && printf %s "$LINES$GREETING"`); o.Out != want["LINES"]+want["GREETING"] {
				t.Errorf("a shell reads %q", o.Out)
			}
			left := &v1alpha1.InterceptList{}
			l.Must(l.Client.List(l.Context(), left, client.InNamespace(l.Namespace)))
			if len(left.Items) > 0 && level != "restricted" || len(left.Items) > 1 {
				t.Errorf("%d intercepts are left", len(left.Items))
			}
			if now := l.Lives(); now != lives {
				t.Errorf("pods were\n%s\nand are\n%s", lives, now)
			}
			alice.Refused([]string{"env", "quote", "--container", "other"}, `has no container "other": it has quote, beside`)
		})
	}
}

// TestEnvironmentNeedsExec: whoever may intercept and may not execute commands in pods does
// not get their environment, and reads what is missing.
func TestEnvironmentNeedsExec(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{v1alpha1.Group}, Resources: []string{"intercepts"}, Verbs: []string{"*"}}}}
	l.Must(l.Client.Create(l.Context(), role))
	t.Cleanup(func() { l.Must(l.Client.Delete(context.Background(), role)) })
	mallory := l.Stranger("mallory")
	l.Allow("mallory", "view", l.Namespace)
	l.Allow("mallory", role.Name, l.Namespace)
	missing := []string{`user "mallory" may not stand in for a pod`, `"create pods/exec" in namespace "` + l.Namespace + `"`}
	mallory.Refused([]string{"env", "quote"}, missing...)
	mallory.Refused([]string{"add", "quote", "--port", "8080", "--", "true"}, append(missing, "; with --no-env, the command does without")...)
	mallory.Refused([]string{"connect", "--proxy", "--via", "quote"}, append(missing, "; with --via none, the command does without")...)
	mallory.Intercept("add", "quote", "--port", "8080", "--no-env", "--", "true")
}

// variables are those of the process of a container whose command line contains text, as
// the kernel has them.
func variables(l *lab.Lab, pod *corev1.Pod, text string) map[string]string {
	l.Helper()
	return environ(l, fmt.Sprintf("/proc/%d/environ", l.Process(pod, text)))
}

// isLocal says that a variable stays the laptop's.
func isLocal(name string) bool {
	return len(environment.Of(environment.Environment{{Name: name, Value: "x"}}, environment.Added{})) == 0
}
