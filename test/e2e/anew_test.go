//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestCertificateReplaced: a client certificate is replaced in the kubeconfig, and the
// former one is accepted no more, while a session is there that no command tells.
func TestCertificateReplaced(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	p := l.Laptop("alice")
	front := p.Front()
	front.Login()
	p.Intercept("add", "quote", "--port", p.Serve("first").To("http"))
	l.Answers(quote, "first")
	before := p.Status().Session

	front.Login()
	restartManager(l)
	l.Eventually(quote, "first")
	p.Intercept("add", "quote", "--port", p.Serve("second").To("http"))
	l.Eventually(quote, "second")
	if s := p.Status().Session; s.PID != before.PID || s.Session != before.Session {
		t.Errorf("session %+v became %+v", before, s)
	}

	front.Revoke()
	restartManager(l)
	l.Until("status tells of the certificate", func() error {
		if out := p.Quiet("kubectl-intercept status -o json").Out; !strings.Contains(out, "log in to the cluster again") {
			return fmt.Errorf("status says %s", out)
		}
		return nil
	})
	front.Login()
	p.Intercept("leave", "quote")
	l.Eventually(quote, lab.Application)
}

// TestClusterMadeAnew: a cluster is gone, and another one has its address, its name
// and its users, under an authority of its own. The session ends, and the next command
// begins another one there.
func TestClusterMadeAnew(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	p := l.Laptop("alice")
	front := p.Front()
	front.Login()
	p.Intercept("add", "quote", "--port", p.Serve("first").To("http"))
	l.Answers(quote, "first")
	before := p.Status().Session

	// The same cluster stands for the other one, without what was made there.
	front.Close()
	i, err := l.Get("quote")
	l.Must(err)
	l.Must(l.Client.Delete(t.Context(), i))
	l.Gone("quote")
	l.Must(l.Client.Delete(t.Context(), &v1alpha1.Session{ObjectMeta: metav1.ObjectMeta{Namespace: lab.ManagerNamespace, Name: before.Session}}))
	front.Open()
	second := p.Serve("second").To("http")
	p.Refused([]string{"add", "quote", "--port", second, "--timeout", "15s"}, "certificate signed by unknown authority")

	front.Login()
	l.Until("the session of the former cluster has ended", func() error {
		if pids := p.Sessions(); len(pids) > 0 {
			return fmt.Errorf("processes %v", pids)
		}
		return nil
	})
	p.Intercept("add", "quote", "--port", second)
	l.Answers(quote, "second")
	if s := p.Status().Session; s.Session == before.Session {
		t.Errorf("the session is still %+v", s)
	}
	p.Intercept("leave", "quote")
}
