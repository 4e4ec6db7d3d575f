//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestIdentity takes the owner policy's binding away and puts it back. Nobody is admitted
// meanwhile; what is connected goes on. A Session that was forged meanwhile is refused for good,
// and one that was there before is confirmed without its user noticing.
func TestIdentity(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	alice, bob := l.Laptop("alice"), l.Laptop("bob")
	alice.Intercept("add", "quote", "--port", alice.Serve("alice").To(""))
	l.Answers(quote, "alice")
	before := alice.Status().Session

	const name = "traffic-manager-intercept-system-owner"
	bindings := l.Kube.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
	binding, err := bindings.Get(t.Context(), name, metav1.GetOptions{})
	l.Must(err)
	put := func() {
		l.Helper()
		again := &admissionv1.ValidatingAdmissionPolicyBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: binding.Labels, Annotations: binding.Annotations}, Spec: binding.Spec}
		_, err := bindings.Create(context.Background(), again, metav1.CreateOptions{})
		l.Must(err)
	}
	l.Must(bindings.Delete(t.Context(), name, metav1.DeleteOptions{}))
	back := false
	t.Cleanup(func() {
		if !back {
			put()
		}
	})

	// Whoever may connect can act in alice's name now, as far as the API server goes.
	own := handshake.RandomIdentity()
	forged := &v1alpha1.Session{ObjectMeta: metav1.ObjectMeta{Namespace: lab.ManagerNamespace, Name: "forged"},
		Spec: v1alpha1.SessionSpec{User: "alice", PublicKey: own.PublicKey()}}
	asBob, err := client.New(bob.Config(), client.Options{Scheme: l.Client.Scheme()})
	l.Must(err)
	l.Until("bob makes a Session of alice's", func() error { return asBob.Create(t.Context(), forged.DeepCopy()) })
	t.Cleanup(func() { l.Must(l.Client.Delete(context.Background(), forged)) })
	const missing = "validatingadmissionpolicybinding " + name + " does not exist, so nobody's name can be trusted"
	if refusal := bob.Knock("forged", own); !strings.Contains(refusal, missing) {
		t.Errorf("the forged session is answered %q", refusal)
	}
	bob.Refused([]string{"add", "quote", "--port", bob.Serve("bob").To("")}, missing, "kubectl intercept upgrade")
	l.Answers(quote, "alice")

	put()
	back = true
	condition := func(session, reason string) {
		l.Helper()
		l.Until(session+" is "+reason, func() error {
			var s v1alpha1.Session
			if err := l.Client.Get(t.Context(), client.ObjectKey{Namespace: lab.ManagerNamespace, Name: session}, &s); err != nil {
				return err
			}
			if c := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionConfirmed); c == nil || c.Reason != reason {
				return fmt.Errorf("the conditions are %+v", s.Status.Conditions)
			}
			if reason == v1alpha1.ReasonConfirmed && s.Status.Owner == nil {
				return errors.New("it was not renewed")
			}
			return nil
		})
	}
	l.Until("the forged session is too old", func() error {
		if refusal := bob.Knock("forged", own); !strings.Contains(refusal, "was made before the admission policy was in force") {
			return fmt.Errorf("answered %q", refusal)
		}
		return nil
	})
	condition("forged", v1alpha1.ReasonOlderThanPolicy)
	condition(before.Session, v1alpha1.ReasonConfirmed)
	l.Answers(quote, "alice")
	if now := alice.Status().Session; now.PID != before.PID || now.Session != before.Session || !now.Connected {
		t.Errorf("alice's session was %+v and is %+v", before, now)
	}
	alice.Intercept("leave", "quote")
	bob.Intercept("add", "quote", "--port", bob.Serve("bob").To(""))
	l.Answers(quote, "bob")
}
