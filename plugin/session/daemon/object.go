package daemon

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// claim returns the Session object of this process. It takes the object of an earlier
// process if that object has the user and the key of this process. Otherwise it makes a
// new one. It stores the name in s.
func claim(ctx context.Context, c client.Client, namespace string, user authenticationv1.UserInfo, s *state.State) (*v1alpha1.Session, error) {
	if s.Session != "" {
		var old v1alpha1.Session
		err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: s.Session}, &old)
		switch {
		case err == nil && sameUser(&old, user) && old.Spec.PublicKey == s.Identity().PublicKey() && old.DeletionTimestamp == nil:
			return &old, nil
		case err != nil && !apierrors.IsNotFound(err):
			return nil, err
		}
		s.Renew() // never use a key that another Session knows
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	created := &v1alpha1.Session{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace},
		Spec:       specOf(user, host, s.Identity().PublicKey()),
	}
	for {
		created.Name = objectName(user.Username, host)
		err := c.Create(ctx, created)
		switch {
		case apierrors.IsAlreadyExists(err):
			continue // the random part of the name is taken: 1 in 60 million
		case apierrors.IsNotFound(err) || meta.IsNoMatchError(err):
			// The resource or the namespace does not exist.
			return nil, &target.NotInstalledError{Namespace: namespace}
		case err != nil:
			return nil, err
		}
		s.Session = created.Name
		return created, nil
	}
}

func specOf(user authenticationv1.UserInfo, host, publicKey string) v1alpha1.SessionSpec {
	return v1alpha1.SessionSpec{User: user.Username, Groups: user.Groups, Extra: extra(user), PublicKey: publicKey, Host: host, Version: version.Version}
}

// extra is what a Session says of its user beside the groups.
func extra(user authenticationv1.UserInfo) map[string]v1alpha1.ExtraValues {
	all := map[string]v1alpha1.ExtraValues{}
	for key, values := range user.Extra {
		if key != v1alpha1.CredentialID {
			all[key] = v1alpha1.ExtraValues(values)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

// sameUser says whether a Session has the current name and groups of this user, as it was
// confirmed last.
func sameUser(s *v1alpha1.Session, user authenticationv1.UserInfo) bool {
	groups := s.Spec.Groups
	if o := s.Status.Owner; o != nil {
		groups = o.Groups
	}
	return s.Spec.User == user.Username && slices.Equal(groups, user.Groups)
}

// sameExtra says whether the traffic-manager knows all else of this user. It may change with
// each login.
func sameExtra(s *v1alpha1.Session, user authenticationv1.UserInfo) bool {
	known := s.Spec.Extra
	if o := s.Status.Owner; o != nil {
		known = o.Extra
	}
	return maps.EqualFunc(known, extra(user), slices.Equal)
}

// objectName returns a name such as "user-host-x7k2p", which is a DNS label.
func objectName(user, host string) string {
	host, _, _ = strings.Cut(host, ".")
	return kube.LabelPart(user, 34, "user") + "-" + kube.LabelPart(host, 20, "host") + "-" + strings.ToLower(rand.Text()[:5])
}

// The Session object is read every lookPause, and more often at first. Nobody may watch it:
// that would show the Sessions of others.
const firstLook, lookPause, lookTimeout = 250 * time.Millisecond, 5 * time.Second, 15 * time.Second

// untilDeleted returns when the Session object is deleted, although finalizers may keep it,
// or when ctx ends. An API server that does not answer, or that refuses the user's
// credentials, does not mean that the object is gone. untilDeleted calls seen with the object
// whenever it has read it.
func untilDeleted(ctx context.Context, c client.Reader, s *v1alpha1.Session, seen func(*v1alpha1.Session)) {
	pause := firstLook
	for {
		now, err := look(ctx, c, s)
		switch {
		case apierrors.IsNotFound(err), err == nil && (now.UID != s.UID || now.DeletionTimestamp != nil):
			return
		case err == nil:
			seen(now)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, lookPause)
	}
}

// look reads the Session object.
func look(ctx context.Context, c client.Reader, s *v1alpha1.Session) (*v1alpha1.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	var now v1alpha1.Session
	err := c.Get(ctx, client.ObjectKeyFromObject(s), &now)
	return &now, err
}

// deleteObject deletes the Session object. It does not delete a later object with the same
// name.
func deleteObject(ctx context.Context, c client.Client, s *v1alpha1.Session) error {
	err := c.Delete(ctx, s, client.Preconditions{UID: &s.UID})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete session %s: %w", s.Name, err)
	}
	return nil
}
