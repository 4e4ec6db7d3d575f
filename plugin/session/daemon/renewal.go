package daemon

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

const (
	// renewPause is the time between two renewals, and renewAgain that after one that failed.
	renewPause, renewAgain = 2 * time.Second, 30 * time.Second
	// renewTimeout is how long the traffic-manager may take to see one.
	renewTimeout = 10 * time.Second
	renewLook    = 100 * time.Millisecond
)

// renewal has the API server confirm the user of the Session again, when it is asked to.
type renewal struct{ asked, woken chan struct{} }

func newRenewal() *renewal { return &renewal{make(chan struct{}, 1), make(chan struct{}, 1)} }

// wake ends the pause after a renewal that failed.
func (r *renewal) wake() {
	select {
	case r.woken <- struct{}{}:
	default:
	}
}

// ask asks for a renewal, which run makes.
func (r *renewal) ask() {
	select {
	case r.asked <- struct{}{}:
	default: // it is asked for already
	}
}

// asksRenewal says that the traffic-manager wants the Session to be renewed.
func asksRenewal(s *v1alpha1.Session) bool {
	c := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionConfirmed)
	return c != nil && (c.Reason == v1alpha1.ReasonDue || c.Reason == v1alpha1.ReasonExpired || c.Reason == v1alpha1.ReasonOlderThanPolicy)
}

// run renews the Session whenever it is asked, until ctx ends.
func (r *renewal) run(ctx context.Context, w *work) {
	for {
		select {
		case <-r.asked:
		case <-ctx.Done():
			return
		}
		pause := renewPause
		if err := w.renew(ctx); err != nil {
			pause = renewAgain
			w.log.Warn("the session is not renewed", "error", err)
		} else {
			w.link.retry()
		}
		select {
		case <-time.After(pause):
		case <-r.woken:
		case <-ctx.Done():
			return
		}
	}
}

// renew makes an object by which the API server confirms the user and the groups, and waits
// until the traffic-manager has taken it.
func (w *work) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	user, err := target.UserInfo(ctx, w.client)
	if err != nil {
		return err
	}
	s := &v1alpha1.Session{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.object.Namespace, Name: v1alpha1.RenewalName(w.object.Name)},
		Spec:       specOf(user, w.object.Spec.Host, w.object.Spec.PublicKey),
	}
	s.Spec.Renews = w.object.Name
	if err := w.client.Create(ctx, s); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	for {
		if err := w.client.Get(ctx, client.ObjectKeyFromObject(s), s); err != nil {
			return client.IgnoreNotFound(err) // it has been taken
		}
		select {
		case <-time.After(renewLook):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
