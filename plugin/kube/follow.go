package kube

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// A watch that has ended is begun again after firstRewatch. While the API server does not
// answer, the pause doubles up to longestRewatch.
const firstRewatch, longestRewatch = 300 * time.Millisecond, 2400 * time.Millisecond

// object is a pointer to an API object of type T.
type object[T any] interface {
	*T
	client.Object
}

// Follow calls visit with an object as it is and after each change, and with nil once it is
// gone, until visit says that it is done or returns an error. The list is an empty list of
// such objects. Follow returns an error if the user may not read or watch the object. An API
// server that does not answer is waited for: only ctx limits that.
func Follow[T any, O object[T]](ctx context.Context, c client.WithWatch, key client.ObjectKey, list client.ObjectList, visit func(O) (done bool, err error)) error {
	pause := firstRewatch
	for {
		answered, done, err := followOnce(ctx, c, key, list, visit)
		if done || err != nil {
			return err
		}
		if answered {
			pause = firstRewatch
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
		pause = min(2*pause, longestRewatch)
	}
}

// followOnce follows until visit is done or the watch ends. Answered reports whether the API
// server has returned the object.
func followOnce[T any, O object[T]](ctx context.Context, c client.WithWatch, key client.ObjectKey, list client.ObjectList, visit func(O) (bool, error)) (answered, done bool, err error) {
	now := O(new(T))
	switch err := c.Get(ctx, key, now); {
	case apierrors.IsNotFound(err):
		done, err := visit(nil)
		return true, done, err
	case refused(err):
		return false, false, err
	case err != nil:
		return false, false, nil
	}
	if done, err := visit(now); done || err != nil {
		return true, done, err
	}
	w, err := c.Watch(ctx, list, &client.ListOptions{
		Namespace:     key.Namespace,
		FieldSelector: fields.OneTermEqualSelector("metadata.name", key.Name),
		Raw:           &metav1.ListOptions{ResourceVersion: now.GetResourceVersion()},
	})
	if refused(err) {
		return true, false, err
	}
	if err != nil {
		return true, false, nil
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		var now O
		switch event.Type {
		case watch.Added, watch.Modified:
			now, _ = event.Object.(O)
		case watch.Deleted:
		default:
			return true, false, nil
		}
		if done, err := visit(now); done || err != nil {
			return true, done, err
		}
	}
	return true, false, nil
}

// refused reports whether the API server has refused a request of this user.
func refused(err error) bool { return apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) }
