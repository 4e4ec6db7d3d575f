package controller

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/identity"
)

// renew takes a Session's renewal for what it is: the API server admitted it, so it has
// confirmed its user and the groups. The object has done its duty then, whatever it was worth.
func (r *Sessions) renew(ctx context.Context, renewal *v1alpha1.Session) error {
	if err := r.confirm(ctx, renewal); err != nil {
		return fmt.Errorf("renew session %s: %w", renewal.Spec.Renews, err)
	}
	return client.IgnoreNotFound(r.Client.Delete(ctx, renewal, client.Preconditions{UID: &renewal.UID}))
}

// confirm notes in a Session's status what its renewal says. It returns an error if that is to
// be tried again.
func (r *Sessions) confirm(ctx context.Context, renewal *v1alpha1.Session) error {
	var s v1alpha1.Session
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: renewal.Spec.Renews}, &s)
	if err != nil {
		return client.IgnoreNotFound(err)
	}
	if !identity.Renews(renewal, &s) {
		r.Log.Warn("somebody renews a session that is not theirs", "session", s.Name, "user", renewal.Spec.User)
		return nil
	}
	// The renewal must be its user's, as a Session must.
	if err := r.Identity.Admit(ctx, renewal); err != nil {
		r.Log.Info("a session is not renewed", "session", s.Name, "reason", err)
		return nil
	}
	old := s.DeepCopy()
	identity.Renew(&s, renewal)
	err = r.Client.Status().Patch(ctx, &s, client.MergeFromWithOptions(old, client.MergeFromWithOptimisticLock{}))
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err == nil {
		r.Log.Info("session is confirmed", "session", s.Name, "user", s.Spec.User)
	}
	return err
}
