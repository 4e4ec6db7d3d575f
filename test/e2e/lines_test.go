//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestLines: connections go to the laptop by lines, which end with the
// intercept.
func TestLines(t *testing.T) {
	l, quote, alice, _ := intercepted(t)
	l.Until("the agent has lines", func() error {
		if n := alice.Status().Session.Lines; n == 0 {
			return errors.New("there are none")
		}
		return nil
	})
	if out := alice.Intercept("status").Out; !strings.Contains(out, "to agents") {
		t.Errorf("status does not show lines:\n%s", out)
	}
	for range 100 { // one line serves many
		l.Answers(quote, "alice")
	}
	if n := alice.Status().Session.Lines; n > 20 {
		t.Errorf("%d lines for connections that came one by one", n)
	}
	alice.Intercept("leave", "quote")
	l.Answers(quote, lab.Application)
	if s := alice.Status(); s.Running {
		l.Until("the lines are gone", func() error {
			if n := alice.Status().Session.Lines; n > 0 {
				return fmt.Errorf("%d are left", n)
			}
			return nil
		})
	}
}

// TestManagerReplicas: three traffic-managers hold one session, and any of them may
// go.
func TestManagerReplicas(t *testing.T) {
	l := lab.New(t, clusters)
	admin := l.Stranger("root")
	if _, err := kubectl(l, "create", "clusterrolebinding", l.Namespace, "--clusterrole=cluster-admin", "--user=root"); err != nil {
		t.Fatal(err)
	}
	defer admin.Intercept("upgrade", "--set", "replicas=1", "--wait") // for the tests that follow
	admin.Intercept("upgrade", "--set", "replicas=3", "--wait")
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	alice := l.Laptop("alice")
	alice.Intercept("add", "quote", "--port", alice.Serve("alice").To(""))
	l.Answers(quote, "alice")
	session := alice.Status().Session
	for range 3 {
		var holds []string
		l.Until("the session has a relay and three replicas are ready", func() error {
			var s v1alpha1.Session
			if err := l.Client.Get(t.Context(), client.ObjectKey{Namespace: lab.ManagerNamespace, Name: session.Session}, &s); err != nil {
				return err
			}
			holds = nil
			for _, r := range s.Status.Relays {
				// One that was killed stands there until somebody notices.
				if _, err := l.Kube.CoreV1().Pods(lab.ManagerNamespace).Get(t.Context(), r.Pod, metav1.GetOptions{}); err == nil {
					holds = append(holds, r.Pod)
				}
			}
			if len(holds) == 0 {
				return errors.New("no relay holds it")
			}
			out, err := kubectl(l, "get", "deployment", "traffic-manager", "-n", lab.ManagerNamespace, "-o", "jsonpath={.status.readyReplicas}")
			if err == nil && out != "3" {
				err = fmt.Errorf("%s replicas are ready", out)
			}
			return err
		})
		t.Logf("relays %v", holds)
		stream := l.Stream(quote)
		_, err := kubectl(l, "delete", "pod", holds[0], "-n", lab.ManagerNamespace, "--grace-period=0", "--force")
		l.Must(err)
		l.Eventually(quote, "alice")
		answers, failures := stream.Stop()
		t.Logf("answers: %v, failures: %v", answers, failures)
		if outage := stream.Outage(); outage > moment {
			t.Errorf("requests failed for %s, longer than %s", outage, moment)
		}
	}
	if after := alice.Status().Session; after.PID != session.PID || after.Session != session.Session {
		t.Errorf("session %+v became %+v", session, after)
	}
	l.State("quote", v1alpha1.StateActive)
}
