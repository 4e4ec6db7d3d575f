package identity

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// UnconfirmedError says why a Session is not believed to be its user's.
type UnconfirmedError struct {
	// Reason is one of ConditionConfirmed.
	Reason string
	Err    error
}

// Error is the reason in words.
func (e *UnconfirmedError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *UnconfirmedError) Unwrap() error { return e.Err }

// Renewable says that the laptop can help itself, by an object that renews the Session.
func (e *UnconfirmedError) Renewable() bool {
	return e.Reason == v1alpha1.ReasonExpired || e.Reason == v1alpha1.ReasonOlderThanPolicy
}

// confirmed is when the API server last said that the Session is its user's.
func confirmed(s *v1alpha1.Session) time.Time {
	if o := s.Status.Owner; o != nil {
		return o.Confirmed.Time
	}
	return s.CreationTimestamp.Time
}

// Expires is when the Session has to be confirmed again.
func (g *Guard) Expires(s *v1alpha1.Session) time.Time { return confirmed(s).Add(g.MaxAge) }

// due is when the laptop is asked to have it confirmed.
func (g *Guard) due(s *v1alpha1.Session) time.Time { return confirmed(s).Add(g.MaxAge / 2) }

// Admit returns an UnconfirmedError unless the Session is its user's.
func (g *Guard) Admit(ctx context.Context, s *v1alpha1.Session) error {
	since, err := g.InForce(ctx)
	return g.judge(s, since, err)
}

// judge says whether a Session is its user's if the policies are in force since a time, or are
// not.
func (g *Guard) judge(s *v1alpha1.Session, since time.Time, err error) error {
	var missing *MissingError
	switch {
	case errors.As(err, &missing):
		return &UnconfirmedError{v1alpha1.ReasonPolicyMissing, err}
	case err != nil:
		return fmt.Errorf("find out whether the admission policies are in force: %w", err)
	case confirmed(s).Before(since):
		return &UnconfirmedError{v1alpha1.ReasonOlderThanPolicy, fmt.Errorf(
			"session %s was made before the admission policy was in force (%s), when everybody could make one in the name of user %q: \"kubectl intercept quit\" ends it, and the next command makes another",
			s.Name, since.UTC().Format(time.RFC3339), s.Spec.User)}
	case !time.Now().Before(g.Expires(s)):
		return &UnconfirmedError{v1alpha1.ReasonExpired, fmt.Errorf(
			"the API server confirmed the groups of user %q more than %s ago: log in to the cluster again, or end session %s with \"kubectl intercept quit\"",
			s.Spec.User, g.MaxAge, s.Name)}
	}
	return nil
}

// Condition is ConditionConfirmed of a Session, for people and for the laptop, and after which
// time it has to be asked for again; 0 is when the policies change. It believes what was found
// lately.
func (g *Guard) Condition(ctx context.Context, s *v1alpha1.Session) (metav1.Condition, time.Duration) {
	c := metav1.Condition{Type: v1alpha1.ConditionConfirmed, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonConfirmed,
		Message: "the API server confirmed the user and the groups at " + confirmed(s).UTC().Format(time.RFC3339)}
	since, err := g.lately(ctx)
	err = g.judge(s, since, err)
	var not *UnconfirmedError
	due := time.Until(g.due(s))
	switch {
	case errors.As(err, &not):
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, not.Reason, not.Error()
		return c, 0
	case err != nil:
		c.Status, c.Reason = metav1.ConditionUnknown, v1alpha1.ReasonUnknown
		c.Message = "the traffic-manager cannot find out whether the admission policies are in force: its log says why"
		return c, 0
	case due > 0:
		return c, due
	}
	c.Reason = v1alpha1.ReasonDue
	c.Message += ", and is asked again"
	return c, max(time.Until(g.Expires(s)), time.Second)
}

// Renews says that one Session renews another: both are of one user and one key.
func Renews(renewal, s *v1alpha1.Session) bool {
	return renewal.Spec.Renews == s.Name && s.Serves(renewal.Spec.User) && s.Spec.PublicKey == renewal.Spec.PublicKey && renewal.DeletionTimestamp == nil
}

// Renew notes in the status of a Session what the API server confirmed by admitting another.
func Renew(s, renewal *v1alpha1.Session) {
	if renewal.CreationTimestamp.Time.Before(confirmed(s)) {
		return
	}
	s.Status.Owner = &v1alpha1.SessionOwner{Confirmed: renewal.CreationTimestamp, Groups: renewal.Spec.Groups, Extra: renewal.Spec.Extra}
}
