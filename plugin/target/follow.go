package target

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
)

// week is what a negative time-out means, as for kubectl wait.
const week = 7 * 24 * time.Hour

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

// Follow is kube.Follow for an Intercept.
func Follow(ctx context.Context, c client.WithWatch, key client.ObjectKey, visit func(*v1alpha1.Intercept) (bool, error)) error {
	return kube.Follow(ctx, c, key, &v1alpha1.InterceptList{}, visit)
}
