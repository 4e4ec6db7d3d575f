package target

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
)

const (
	// retryWatch is the pause before a watch that ended is begun again.
	retryWatch = 300 * time.Millisecond
	// week is what a negative time-out means, as for kubectl wait.
	week = 7 * 24 * time.Hour
)

// ErrTimeout is what FollowFor returns when the time is over.
var ErrTimeout = errors.New("timed out")

// connectTimeout is how long a command with --timeout 0 may take to come to what
// it looks at once.
const connectTimeout = time.Minute

// WithTimeout bounds a command by its --timeout; see FollowFor.
func WithTimeout(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	switch {
	case timeout == 0:
		timeout = connectTimeout
	case timeout < 0:
		timeout = week
	}
	return context.WithTimeoutCause(ctx, timeout, ErrTimeout)
}

// TimedOut is err, which says so where ctx, of WithTimeout, is over.
func TimedOut(ctx context.Context, timeout time.Duration, err error) error {
	if err == nil || !errors.Is(context.Cause(ctx), ErrTimeout) || strings.HasPrefix(err.Error(), ErrTimeout.Error()) {
		return err
	}
	if timeout <= 0 {
		return fmt.Errorf("%w: %s", ErrTimeout, render.Error(err))
	}
	return fmt.Errorf("%w after %s: %s", ErrTimeout, timeout, render.Error(err))
}

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
