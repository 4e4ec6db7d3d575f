//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestHome lets two users with certificates of their own intercept at home,
// where they have the role "edit", and nowhere else.
func TestHome(t *testing.T) {
	for name, other := range map[string]string{"alice": "bob", "bob": "alice"} {
		t.Run(name, func(t *testing.T) {
			l := lab.New(t, clusters)
			l.Apply("quote.yaml")
			quote := l.Serving("quote", "http")
			foreign := l.NewNamespace(nil)
			l.Allow(other, "edit", foreign)
			p := l.Laptop(name)
			program := p.Serve(name)
			p.Refused([]string{"add", "quote", "--port", program.To(""), "-n", foreign},
				`no permission: user "`+name+`" cannot get deployments.apps in namespace "`+foreign+`"`, "--clusterrole=edit")
			p.Refused([]string{"list", "-A"}, "no permission: user", "in all namespaces")
			p.Intercept("add", "quote", "--port", program.To(""))
			l.Answers(quote, name)
			p.Intercept("leave", "quote")
			l.Answers(quote, lab.Application)
		})
	}
}

// TestView lets somebody with the role "view" see intercepts and not make any.
func TestView(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	carol := l.Stranger("carol")
	l.Allow("carol", "view", l.Namespace)
	carol.Intercept("list")
	carol.Refused([]string{"add", "quote", "--port", "8080"}, "no permission", "intercepts.kubectl-intercept.dev")
}

// TestPortTaken tells the second user who has the port and since when. What
// the first one has is untouched, also by kubectl.
func TestPortTaken(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	alice, bob := l.Laptop("alice"), l.Laptop("bob")
	alice.Intercept("add", "quote", "--port", alice.Serve("alice").To(""))
	i, err := l.Get("quote")
	l.Must(err)
	bob.Refused([]string{"add", "quote", "--port", bob.Serve("bob").To("")},
		"port http of deployment/quote is intercepted by alice since "+i.CreationTimestamp.UTC().Format("2006-01-02 15:04:05 UTC"))
	l.Gone("quote-bob")
	bob.Refused([]string{"leave", "quote"}, "belongs to alice: you can leave only your own")
	o := bob.Try("kubectl", "patch", "intercept", "quote", "-n", l.Namespace, "--type=merge", "-p", `{"spec":{"noFallback":true}}`)
	if !o.Failed || !strings.Contains(o.Err, `this intercept belongs to "alice": only its owner may change it`) {
		t.Error("bob could change alice's intercept")
	}
	l.Answers(quote, "alice")
	alice.Intercept("leave", "quote")
	bob.Intercept("add", "quote", "--port", bob.Serve("bob").To(""))
	l.Answers(quote, "bob")
}

// TestSession keeps a session to its owner: nobody else may name it in an
// Intercept, delete it, or come to the tunnel as if he had it.
func TestSession(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	alice, bob := l.Laptop("alice"), l.Laptop("bob")
	alice.Intercept("add", "quote", "--port", alice.Serve("alice").To(""))
	session, own := alice.Status().Session.Session, alice.Identity()

	for _, args := range [][]string{
		{"delete", "session", session, "-n", lab.ManagerNamespace},
		{"patch", "session", session, "-n", lab.ManagerNamespace, "--type=merge", "-p", `{"spec":{"host":"bob"}}`},
	} {
		if o := bob.Try("kubectl", args...); !o.Failed || !strings.Contains(o.Err, "orbidden") {
			t.Errorf("bob may %s alice's session", args[0])
		}
	}
	for _, p := range []*lab.Laptop{alice, bob} {
		if refusal := p.Knock(session, handshake.RandomIdentity()); refusal == "" {
			t.Errorf("%s was let in with a forged key", p.User)
		}
		if refusal := p.Knock("no-such-session", own); refusal == "" {
			t.Errorf("%s was let in to a session that does not exist", p.User)
		}
	}
	l.Answers(quote, "alice")

	// Its end does not wait for a finalizer.
	object := &v1alpha1.Session{ObjectMeta: metav1.ObjectMeta{Namespace: lab.ManagerNamespace, Name: session}}
	finalizers := func(list string) {
		l.Helper()
		l.Must(l.Client.Patch(t.Context(), object, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":`+list+`}}`))))
	}
	finalizers(`["example.com/stays"]`)
	l.Must(l.Client.Delete(t.Context(), object))
	l.Gone("quote")
	l.Eventually(quote, lab.Application)
	l.Until("the old key is refused", func() error {
		if alice.Knock(session, own) == "" {
			return errLetIn
		}
		return nil
	})
	l.Until("its process ends", func() error {
		if all := alice.Sessions(); len(all) > 0 {
			return fmt.Errorf("%v", all)
		}
		return nil
	})
	finalizers("null")
}

// TestSessionMetadata: what a user may write into a Session is bounded, and nothing of it keeps
// the object from being deleted. Nobody lists the Sessions of others.
func TestSessionMetadata(t *testing.T) {
	l := lab.New(t, clusters)
	c, err := client.New(l.Laptop("alice").Config(), client.Options{Scheme: l.Client.Scheme()})
	l.Must(err)
	if err := c.List(t.Context(), &v1alpha1.SessionList{}, client.InNamespace(lab.ManagerNamespace)); !apierrors.IsForbidden(err) {
		t.Errorf("Sessions are listed: %v", err)
	}
	many := map[string]string{}
	for n := range 17 {
		many[fmt.Sprint("key-", n)] = ""
	}
	const none, size = "a session has no finalizers and no ownerReferences", "a session has at most 16 labels and 16 annotations"
	for want, list := range map[string][]metav1.ObjectMeta{
		none: {{Finalizers: []string{"example.com/stays"}}, {OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "a", UID: "b"}}}},
		size: {{Labels: many}, {Annotations: many}, {Annotations: map[string]string{"key": strings.Repeat("a", 1025)}}},
		"":   {{}, {Labels: map[string]string{"team": "shop"}, Annotations: map[string]string{"key": strings.Repeat("a", 1024)}}},
	} {
		for _, m := range list {
			m.Namespace, m.GenerateName = lab.ManagerNamespace, "alice-"
			s := &v1alpha1.Session{ObjectMeta: m, Spec: v1alpha1.SessionSpec{User: "alice", PublicKey: strings.Repeat("0", 64)}}
			switch err := c.Create(t.Context(), s, client.DryRunAll); {
			case want == "" && err != nil:
				t.Errorf("%+v is refused: %v", m, err)
			case want != "" && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), want)):
				t.Errorf("%+v: %v, want %q", m, err, want)
			}
		}
	}
}

// TestNames makes Intercepts with kubectl that carry somebody else's name, or
// somebody else's session. The first are refused, the second lead nowhere.
func TestNames(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	alice, bob := l.Laptop("alice"), l.Laptop("bob")
	alice.Intercept("add", "quote", "--port", alice.Serve("alice").To(""))
	session := alice.Status().Session.Session
	alice.Intercept("leave", "quote")
	c, err := client.New(bob.Config(), client.Options{Scheme: l.Client.Scheme()})
	l.Must(err)

	ic := &v1alpha1.Intercept{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: "forged"}, Spec: v1alpha1.InterceptSpec{
		User: "alice", Session: session, Workload: v1alpha1.WorkloadReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "quote"},
		Ports: []v1alpha1.InterceptPort{{LocalPort: 1}}}}
	err = c.Create(t.Context(), ic.DeepCopy())
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `spec.user must be your own name "bob", not "alice"`) {
		t.Errorf("an intercept in alice's name: %v", err)
	}
	ic.Spec.User = "bob"
	l.Must(c.Create(t.Context(), ic))
	i := l.State("forged", v1alpha1.StateError)
	if !strings.Contains(i.Status.Message, "belongs to another user than bob") {
		t.Errorf("the message is %q", i.Status.Message)
	}
	l.Answers(quote, lab.Application)
}
