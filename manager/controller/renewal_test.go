package controller

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// judge says of every Session the same.
type judge struct {
	err    error
	reason string
}

func (j *judge) Admit(context.Context, *v1alpha1.Session) error { return j.err }

func (j *judge) Condition(context.Context, *v1alpha1.Session) (metav1.Condition, time.Duration) {
	c := metav1.Condition{Type: v1alpha1.ConditionConfirmed, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonConfirmed}
	if j.reason != "" {
		c.Status, c.Reason = metav1.ConditionFalse, j.reason
	}
	return c, 0
}

// TestRenewal: the status of a Session takes over what its renewal says of the user. The
// renewal goes, whatever it is worth.
func TestRenewal(t *testing.T) {
	for name, c := range map[string]struct {
		change func(renewal *v1alpha1.Session)
		err    error
		taken  bool
	}{
		"her own":                {func(*v1alpha1.Session) {}, nil, true},
		"bob's":                  {func(r *v1alpha1.Session) { r.Spec.User = "bob" }, nil, false},
		"of another key":         {func(r *v1alpha1.Session) { r.Spec.PublicKey = "other" }, nil, false},
		"of nobody":              {func(r *v1alpha1.Session) { r.Spec.Renews = "carol" }, nil, false},
		"older than the policy":  {func(*v1alpha1.Session) {}, errors.New("older"), false},
		"of what renews another": {func(r *v1alpha1.Session) { r.Spec.Renews = r.Name }, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := &v1alpha1.Session{
				ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: v1alpha1.RenewalName("alice"), UID: "renewal", CreationTimestamp: metav1.NewTime(time.Now().Truncate(time.Second))},
				Spec:       v1alpha1.SessionSpec{User: "alice", Groups: []string{"testers"}, Renews: "alice"}}
			c.change(r)
			w := newWorld(t, interceptor.Funcs{}, r)
			w.ses.Identity = &judge{err: c.err}
			if _, err := w.ses.Reconcile(t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: system, Name: r.Name}}); err != nil {
				t.Fatal(err)
			}
			var left v1alpha1.Session
			if err := w.Get(t.Context(), client.ObjectKeyFromObject(r), &left); !apierrors.IsNotFound(err) {
				t.Errorf("the renewal is there: %v", err)
			}
			var s v1alpha1.Session
			if err := w.Get(t.Context(), client.ObjectKey{Namespace: system, Name: "alice"}, &s); err != nil {
				t.Fatal(err)
			}
			o := s.Status.Owner
			if (o != nil) != c.taken || o != nil && (!slices.Equal(o.Groups, r.Spec.Groups) || !o.Confirmed.Equal(&r.CreationTimestamp)) {
				t.Errorf("the owner is %+v", o)
			}
		})
	}
}

// TestUnconfirmed: a Session tells why it is not believed.
func TestUnconfirmed(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{})
	w.ses.Identity = &judge{reason: v1alpha1.ReasonOlderThanPolicy}
	if _, err := w.ses.Reconcile(t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: system, Name: "alice"}}); err != nil {
		t.Fatal(err)
	}
	var s v1alpha1.Session
	if err := w.Get(t.Context(), client.ObjectKey{Namespace: system, Name: "alice"}, &s); err != nil {
		t.Fatal(err)
	}
	if c := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionConfirmed); c == nil || c.Reason != v1alpha1.ReasonOlderThanPolicy {
		t.Errorf("the conditions are %+v", s.Status.Conditions)
	}
}
