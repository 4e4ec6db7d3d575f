//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestDaemonSetOnDelete: pods that only people may delete are not evicted for a
// sidecar. The intercept says which one to delete, and is there for all in the end.
func TestDaemonSetOnDelete(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("daemon.yaml", "STRATEGY", "{type: OnDelete}")
	alice := l.Laptop("alice")
	port := alice.Serve("alice").To("")
	next := regexp.MustCompile(`whose updateStrategy is OnDelete: (kubectl delete pod (\S+) -n \S+)`)

	o := alice.Refused([]string{"add", "ds/daemon", "--inject", "sidecar", "--port", port, "--timeout", "10s"}, "timed out after 10s", "kubectl intercept leave daemon")
	if !next.MatchString(o.Err) {
		t.Error("add does not say what to type")
	}
	deleted := sets.New[types.UID]()
	for {
		done := false
		var command string
		l.Until("the intercept is active, or says which pod is next", func() error {
			ic, err := l.Get("daemon")
			if err != nil {
				return err
			}
			if done = ic.Status.State == v1alpha1.StateActive; done {
				return nil
			}
			m := next.FindStringSubmatch(ic.Status.Message)
			if m == nil {
				return fmt.Errorf("%s: %s", ic.Status.State, ic.Status.Message)
			}
			for _, p := range l.Pods() {
				if p.Name == m[2] && !deleted.Has(p.UID) {
					command = m[1]
					deleted.Insert(p.UID)
					return nil
				}
			}
			return fmt.Errorf("pod %s was deleted already", m[2])
		})
		if done {
			break
		}
		for _, p := range l.Pods() {
			if p.DeletionTimestamp != nil && !deleted.Has(p.UID) {
				t.Fatalf("pod %s was evicted", p.Name)
			}
		}
		alice.Kubectl(append(strings.Fields(command)[1:], "--wait=false")...)
	}
	l.Ready()
	if got := len(l.Pods()); deleted.Len() != got {
		t.Errorf("it asked for %d of %d pods to be deleted", deleted.Len(), got)
	}
	for _, p := range l.Pods() {
		l.Answers(net.JoinHostPort(p.Status.PodIP, "8080"), "alice")
	}
	alice.Intercept("leave", "daemon")
	l.EveryPod("8080", lab.Application)
}

// TestDaemonSetSurges: a DaemonSet surges only for a new template, and what an
// eviction means instead is said.
func TestDaemonSetSurges(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("daemon.yaml", "STRATEGY", "{rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}")
	daemon := l.Serving("daemon", "http")
	alice := l.Laptop("alice")
	o := alice.Intercept("add", "ds/daemon", "--inject", "sidecar", "--port", alice.Serve("alice").To(""))
	if !strings.Contains(o.Err, "maxSurge of daemonset/daemon counts only when its template changes") {
		t.Error("add does not say what the eviction of a pod means")
	}
	l.Eventually(daemon, "alice")
	alice.Intercept("leave", "daemon")
	l.Eventually(daemon, lab.Application)
}
