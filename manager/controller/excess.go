package controller

import (
	"cmp"
	"context"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// maxSessions is how many Sessions a user may have. A person has one for each machine and
// context, a build system one for each job.
const maxSessions = 256

// bound deletes what the user of a new Session has beyond maxSessions, so that nobody fills the
// API server. A ResourceQuota would let one user take the Sessions of all. Gone says that the
// new one is among them.
func (r *Sessions) bound(ctx context.Context, fresh *v1alpha1.Session) (gone bool, err error) {
	var list v1alpha1.SessionList
	if err := r.Client.List(ctx, &list, client.InNamespace(r.Namespace)); err != nil {
		return false, err
	}
	for _, s := range excess(list.Items, fresh.Spec.User, maxSessions) {
		r.Log.Warn("a user has too many sessions, one is deleted", "user", s.Spec.User, "session", s.Name, "most", maxSessions)
		if err := r.Client.Delete(ctx, &s, client.Preconditions{UID: &s.UID}); client.IgnoreNotFound(err) != nil {
			return gone, err
		}
		gone = gone || s.UID == fresh.UID
	}
	return gone, nil
}

// excess are the Sessions of a user beyond max: first the oldest of those without a laptop,
// then the newest of the others.
func excess(all []v1alpha1.Session, user string, max int) []v1alpha1.Session {
	of := slices.DeleteFunc(slices.Clone(all), func(s v1alpha1.Session) bool { return !s.Serves(user) })
	if len(of) <= max {
		return nil
	}
	slices.SortFunc(of, func(a, b v1alpha1.Session) int {
		age := cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
		switch has, too := len(a.Status.Relays) > 0, len(b.Status.Relays) > 0; {
		case has && too:
			return -age
		case has:
			return 1
		case too:
			return -1
		}
		return age
	})
	return of[:len(of)-max]
}
