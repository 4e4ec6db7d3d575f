package leave

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// patience is how long an intercept is left to a traffic-manager that is not where
// it was looked for: there may be one in another namespace. It is more than a
// traffic-manager waits for agents that do not answer.
const patience = 12 * time.Second

// release waits until the intercept is gone. Where no traffic-manager is, nobody
// takes the finalizer off: then the owner does. Agents that have lost their
// traffic-manager give everything to the application.
func (o *Options) release(ctx context.Context, i *v1alpha1.Intercept, began time.Time) error {
	var absent *target.NotInstalledError
	_, err := target.Installed(ctx, o.client, o.factory.ManagerNamespace)
	if !errors.As(err, &absent) || o.Timeout == 0 {
		hidden := apierrors.IsForbidden(err)
		err := o.await(ctx, i, o.left(began))
		if hidden && errors.Is(err, target.ErrTimeout) {
			return fmt.Errorf("%w; you may not see whether there is a traffic-manager: an administrator ends the intercept with %s --force",
				err, helm.Command("uninstall", o.factory.ManagerNamespace))
		}
		return err
	}
	wait := max(patience-time.Since(began), time.Millisecond)
	if o.Timeout > 0 {
		wait = min(wait, o.left(began))
	}
	if err := o.await(ctx, i, wait); !errors.Is(err, target.ErrTimeout) {
		return err
	}
	fmt.Fprintf(o.ErrOut, "There is no traffic-manager in namespace %s: releasing %s/%s in its place\n", o.factory.ManagerNamespace, i.Namespace, i.Name)
	return o.unlock(ctx, i)
}

// unlock takes the finalizer off.
func (o *Options) unlock(ctx context.Context, i *v1alpha1.Intercept) error {
	var now v1alpha1.Intercept
	err := o.client.Get(ctx, client.ObjectKeyFromObject(i), &now)
	if err == nil && now.UID == i.UID {
		old := now.DeepCopy()
		now.Finalizers = slices.DeleteFunc(now.Finalizers, func(f string) bool { return strings.HasPrefix(f, v1alpha1.Group+"/") })
		err = o.client.Patch(ctx, &now, client.MergeFromWithOptions(old, client.MergeFromWithOptimisticLock{}))
	}
	switch {
	case apierrors.IsForbidden(err):
		return fmt.Errorf("there is no traffic-manager that could end intercept %s/%s, and you may not: %w; an administrator ends it with %s --force",
			i.Namespace, i.Name, err, helm.Command("uninstall", o.factory.ManagerNamespace))
	case client.IgnoreNotFound(err) != nil:
		return fmt.Errorf("release intercept %s/%s: %w", i.Namespace, i.Name, err)
	}
	return nil
}
