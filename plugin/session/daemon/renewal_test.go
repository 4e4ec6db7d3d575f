package daemon

import (
	"maps"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// TestRenewal: a Session that the traffic-manager does not believe any more is renewed, by the
// same process, under the same name, and with the same key.
func TestRenewal(t *testing.T) {
	c := newCluster(t)
	c.old = true
	m := newMachine(t, c.factory())
	client, before := m.mustEnsure()
	all := c.renewals()
	if len(all) != 1 {
		t.Fatalf("%d renewals", len(all))
	}
	c.mu.Lock()
	object := c.objects[apiPrefix+"/namespaces/intercept-system/sessions/"+before.Session].(*v1alpha1.Session).DeepCopy()
	c.mu.Unlock()
	if r := all[0]; r.Name != v1alpha1.RenewalName(object.Name) || r.Spec.Renews != object.Name || r.Spec.User != "jane" || r.Spec.PublicKey != object.Spec.PublicKey {
		t.Errorf("renewed by %+v", r)
	}

	wait(t, "all carriers", func() bool { return m.status(client).Carriers == carriers })
	carried := c.carriers()
	object.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionConfirmed, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonDue}}
	c.put(object)
	wait(t, "the renewal that is due", func() bool { return len(c.renewals()) > 1 })
	if s := m.status(client); s.PID != before.PID || s.Session != before.Session || c.carriers() != carried {
		t.Errorf("the session was %+v and is %+v", before, s)
	}
}

// TestExtra: a Session says all that is known of its user but what is another for each token.
// The next process tells what has changed.
func TestExtra(t *testing.T) {
	c := newCluster(t)
	c.extra = `{"scopes":["read"],"authentication.kubernetes.io/credential-id":["JTI=1"]}`
	m := newMachine(t, c.factory())
	_, before := m.mustEnsure()
	c.mu.Lock()
	first := c.objects[apiPrefix+"/namespaces/intercept-system/sessions/"+before.Session].(*v1alpha1.Session).Spec.Extra
	c.mu.Unlock()
	want := func(got map[string]v1alpha1.ExtraValues, scope string) {
		t.Helper()
		if !maps.EqualFunc(got, map[string]v1alpha1.ExtraValues{"scopes": {scope}}, slices.Equal) {
			t.Errorf("the user is %v, want %s", got, scope)
		}
	}
	want(first, "read")
	m.last.life.end(endReplaced)
	<-m.last.over
	c.extra = `{"scopes":["read"],"authentication.kubernetes.io/credential-id":["JTI=2"]}`
	if _, s := m.mustEnsure(); s.Session != before.Session || len(c.renewals()) > 0 {
		t.Errorf("another token made session %s and %d renewals", s.Session, len(c.renewals()))
	}
	m.last.life.end(endReplaced)
	<-m.last.over
	c.extra = `{"scopes":["write"]}`
	if _, s := m.mustEnsure(); s.Session != before.Session {
		t.Errorf("session %s became %s", before.Session, s.Session)
	}
	wait(t, "the renewal", func() bool { return len(c.renewals()) == 1 })
	want(c.renewals()[0].Spec.Extra, "write")
}
