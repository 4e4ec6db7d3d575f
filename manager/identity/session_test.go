package identity

import (
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

func sessionOf(made time.Time) *v1alpha1.Session {
	return &v1alpha1.Session{ObjectMeta: metav1.ObjectMeta{Name: "alice-laptop", CreationTimestamp: metav1.NewTime(made)},
		Spec: v1alpha1.SessionSpec{User: "alice", Groups: []string{"developers"}, PublicKey: strings.Repeat("0", 64)}}
}

// TestAdmit: a Session is believed if the API server looked at it, not too long ago; or if it
// looked at another object that renews it.
func TestAdmit(t *testing.T) {
	renewed := func(s *v1alpha1.Session, at time.Time) *v1alpha1.Session {
		r := sessionOf(at)
		r.Spec.Groups, r.Spec.Renews = []string{"testers"}, s.Name
		if !Renews(r, s) {
			t.Fatalf("%+v does not renew %+v", r, s)
		}
		Renew(s, r)
		return s
	}
	now := time.Now()
	c := newCluster(t)
	before := c.installs.Add(-time.Hour)
	cases := map[string]struct {
		s         *v1alpha1.Session
		age       time.Duration
		missing   bool
		reason    string // of the condition
		renewable bool
	}{
		"new":                         {s: sessionOf(now), age: 24 * time.Hour, reason: v1alpha1.ReasonConfirmed},
		"half as old as may be":       {s: sessionOf(now.Add(-31 * time.Minute)), age: time.Hour, reason: v1alpha1.ReasonDue},
		"too old":                     {s: sessionOf(now.Add(-31 * time.Minute)), age: 30 * time.Minute, reason: v1alpha1.ReasonExpired, renewable: true},
		"too old, and renewed":        {s: renewed(sessionOf(now.Add(-31*time.Minute)), now), age: 30 * time.Minute, reason: v1alpha1.ReasonConfirmed},
		"before the policy":           {s: sessionOf(before), age: 24 * time.Hour, reason: v1alpha1.ReasonOlderThanPolicy, renewable: true},
		"with it":                     {s: sessionOf(c.installs), age: 24 * time.Hour, reason: v1alpha1.ReasonOlderThanPolicy, renewable: true},
		"before it, renewed before":   {s: renewed(sessionOf(before), c.installs.Add(-time.Minute)), age: 24 * time.Hour, reason: v1alpha1.ReasonOlderThanPolicy, renewable: true},
		"before it, renewed after it": {s: renewed(sessionOf(before), now), age: 24 * time.Hour, reason: v1alpha1.ReasonConfirmed},
		"without a policy":            {s: sessionOf(now), age: 24 * time.Hour, missing: true, reason: v1alpha1.ReasonPolicyMissing},
	}
	for name, tt := range cases {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			c.guard.MaxAge = tt.age
			if tt.missing {
				if err := c.Delete(t.Context(), &binding{ObjectMeta: metav1.ObjectMeta{Name: release + "-owner"}}); err != nil {
					t.Fatal(err)
				}
			}
			good := tt.reason == v1alpha1.ReasonConfirmed || tt.reason == v1alpha1.ReasonDue
			err := c.guard.Admit(t.Context(), tt.s)
			var not *UnconfirmedError
			if (err == nil) != good || !good && (!errors.As(err, &not) || not.Reason != tt.reason || not.Renewable() != tt.renewable) {
				t.Errorf("admitted with %v", err)
			}
			condition, _ := c.guard.Condition(t.Context(), tt.s)
			if condition.Reason != tt.reason || (condition.Status == metav1.ConditionTrue) != good {
				t.Errorf("the condition is %+v", condition)
			}
		})
	}
	c.refusal = errors.New("webhook is away")
	if err := c.guard.Admit(t.Context(), sessionOf(now)); err == nil {
		t.Error("admitted without an answer")
	}
	if got, _ := c.guard.Condition(t.Context(), sessionOf(now)); got.Status != metav1.ConditionUnknown {
		t.Errorf("without an answer the condition is %+v", got)
	}
	s := renewed(sessionOf(now.Add(-time.Hour)), now)
	if o := s.Status.Owner; o.Groups[0] != "testers" {
		t.Errorf("the groups are those of before: %v", o)
	}
	renewed(s, now.Add(-time.Minute))
	if got := s.Status.Owner.Confirmed; !got.Time.Equal(now) {
		t.Errorf("an older renewal counts: %s", got)
	}
}

// TestRenews: an object renews the Session of its own user, with the same key.
func TestRenews(t *testing.T) {
	for name, change := range map[string]func(*v1alpha1.Session){
		"another user's":   func(r *v1alpha1.Session) { r.Spec.User = "bob" },
		"another key's":    func(r *v1alpha1.Session) { r.Spec.PublicKey = strings.Repeat("1", 64) },
		"another Session":  func(r *v1alpha1.Session) { r.Spec.Renews = "alice-desktop" },
		"one that is gone": func(r *v1alpha1.Session) { r.DeletionTimestamp = &metav1.Time{Time: time.Now()} },
	} {
		s, r := sessionOf(time.Now()), sessionOf(time.Now())
		r.Spec.Renews = s.Name
		change(r)
		if Renews(r, s) {
			t.Errorf("%s renews it", name)
		}
	}
}
