package relay

import (
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/authz"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
)

// TestIdentityDecides: the right token is not enough. Carriers that are up stay up.
func TestIdentityDecides(t *testing.T) {
	r, _ := newRelay(t)
	hello := &handshake.Hello{Session: "alice"}
	first, err := r.admit(hello, key, "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	defer r.removeCarrier(first)
	missing := errors.New("the owner policy does not exist")
	r.cfg.Identity.(*confirming).err = missing
	if _, err := r.admit(hello, key, "192.0.2.1"); !errors.Is(err, missing) {
		t.Errorf("admitted while the policy is away: %v", err)
	}
	if first.ctx.Err() != nil {
		t.Error("the carriers that were up are down")
	}
}

// TestConfirmed: a session goes on when its user is confirmed again, begins anew if the groups
// are others, and ends if nobody confirms it.
func TestConfirmed(t *testing.T) {
	r, _ := newRelay(t)
	now := time.Now()
	object := func(confirmed time.Time, groups ...string) *v1alpha1.Session {
		return &v1alpha1.Session{ObjectMeta: metav1.ObjectMeta{Name: "alice"}, Spec: v1alpha1.SessionSpec{User: "alice", Groups: []string{"developers"}},
			Status: v1alpha1.SessionStatus{Owner: &v1alpha1.SessionOwner{Confirmed: metav1.NewTime(confirmed), Groups: groups}}}
	}
	add := func(of *owner) *session {
		t.Helper()
		s, err := r.addCarrier(&handshake.Hello{Session: "alice", Generation: 1}, key, of)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := add(&owner{authz.Subject{User: "alice", Groups: []string{"developers"}}, now})
	r.Confirmed(object(now, "developers"))
	if o := s.owner.Load(); s.ctx.Err() != nil || !o.expires.After(now) {
		t.Fatalf("%v, until %s", s.ctx.Err(), o.expires)
	}
	r.Confirmed(object(now.Add(-time.Minute))) // an older object says nothing
	if s.ctx.Err() != nil {
		t.Fatal("an older object ended the session")
	}
	r.Confirmed(object(now.Add(time.Minute)))
	if s.ctx.Err() == nil || len(s.owner.Load().Groups) > 0 {
		t.Fatalf("goes on with the groups of before: %v", s.owner.Load().Groups)
	}
	r.removeCarrier(s)

	s = add(&owner{authz.Subject{User: "alice"}, now})
	r.inspect(s)
	if s.ctx.Err() == nil {
		t.Error("a session goes on whose user nobody confirms")
	}
	r.removeCarrier(s)
}
