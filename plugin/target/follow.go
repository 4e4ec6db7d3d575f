package target

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

const (
	// retryWatch is the pause before a watch that ended is begun again.
	retryWatch = 300 * time.Millisecond
	// week is what a negative time-out means, as for kubectl wait.
	week = 7 * 24 * time.Hour
)

// ErrTimeout is what FollowFor returns when the time is over.
var ErrTimeout = errors.New("timed out")

// FollowFor is Follow for a --timeout: zero looks once, negative is a week.
func FollowFor(ctx context.Context, timeout time.Duration, c client.WithWatch, key client.ObjectKey, visit func(*v1alpha1.Intercept) (bool, error)) error {
	switch {
	case timeout == 0:
		now := &v1alpha1.Intercept{}
		err := c.Get(ctx, key, now)
		if apierrors.IsNotFound(err) {
			now, err = nil, nil
		}
		if err != nil {
			return err
		}
		if done, err := visit(now); done || err != nil {
			return err
		}
		return ErrTimeout
	case timeout < 0:
		timeout = week
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, ErrTimeout)
	defer cancel()
	return Follow(ctx, c, key, visit)
}

// Follow calls visit with the intercept as it is and after each change, with
// nil once it is gone, until visit says it is done or returns an error. An API
// server that is away for a while is waited for; only ctx limits that.
func Follow(ctx context.Context, c client.WithWatch, key client.ObjectKey, visit func(*v1alpha1.Intercept) (bool, error)) error {
	for {
		done, err := followOnce(ctx, c, key, visit)
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(retryWatch):
		}
	}
}

// followOnce follows until visit is done or the watch ends.
func followOnce(ctx context.Context, c client.WithWatch, key client.ObjectKey, visit func(*v1alpha1.Intercept) (bool, error)) (bool, error) {
	var i v1alpha1.Intercept
	switch err := c.Get(ctx, key, &i); {
	case apierrors.IsNotFound(err):
		return visit(nil)
	case apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err):
		return false, err
	case err != nil:
		return false, nil
	}
	if done, err := visit(&i); done || err != nil {
		return done, err
	}
	w, err := c.Watch(ctx, &v1alpha1.InterceptList{}, &client.ListOptions{
		Namespace:     key.Namespace,
		FieldSelector: fields.OneTermEqualSelector("metadata.name", key.Name),
		Raw:           &metav1.ListOptions{ResourceVersion: i.ResourceVersion},
	})
	if apierrors.IsForbidden(err) {
		return false, err
	}
	if err != nil {
		return false, nil
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		var now *v1alpha1.Intercept
		switch event.Type {
		case watch.Added, watch.Modified:
			now, _ = event.Object.(*v1alpha1.Intercept)
		case watch.Deleted:
		default:
			return false, nil
		}
		if done, err := visit(now); done || err != nil {
			return done, err
		}
	}
	return false, nil
}
