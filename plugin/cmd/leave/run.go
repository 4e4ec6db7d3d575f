package leave

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// Run ends the chosen intercepts: first all are deleted, then each is waited
// for, so that several take no longer than one.
func (o *Options) Run(ctx context.Context) error {
	ctx, cancel := target.WithTimeout(ctx, o.Timeout)
	defer cancel()
	return target.TimedOut(ctx, o.Timeout, o.leave(ctx))
}

func (o *Options) leave(ctx context.Context) (err error) {
	progress := render.NewProgress(o.ErrOut)
	defer progress.Done()
	if o.broken == nil {
		o.client, o.broken = o.factory.Client()
	}
	if o.broken != nil {
		return o.bySession(ctx, progress)
	}
	user, err := target.User(ctx, o.client)
	if err != nil {
		return err
	}
	all, refused := target.Intercepts(ctx, o.client, o.namespace, o.factory.ManagerNamespace)
	if refused != nil && (len(o.Names) == 0 || !apierrors.IsForbidden(refused)) {
		return refused
	}
	chosen, err := o.chosen(ctx, all, user)
	if err != nil && refused != nil {
		return refused // whoever named the namespace with the intercept needs no other one
	}
	if err != nil {
		return o.elsewhere(ctx, user, err)
	}
	if len(chosen) == 0 {
		o.sayEmpty()
		return o.sayOthers(ctx)
	}
	for _, i := range chosen {
		if err := o.delete(ctx, &i); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	began := time.Now()
	for _, i := range chosen {
		if o.Wait && o.DryRun == cmdutil.DryRunNone {
			progress.Step("giving " + resolve.RefString(i.Spec.Workload) + " its traffic back")
			if err := o.release(ctx, &i, began); err != nil {
				return err
			}
		}
		progress.Done()
		if err := o.report(&i); err != nil {
			return err
		}
	}
	return nil
}

func (o *Options) chosen(ctx context.Context, all []v1alpha1.Intercept, user string) ([]v1alpha1.Intercept, error) {
	if len(o.Names) == 0 {
		return own(all, user), nil
	}
	var chosen []v1alpha1.Intercept
	for _, name := range o.Names {
		found, err := choose(all, user, o.namespace, name)
		if err != nil {
			i := o.qualified(ctx, user, name)
			if i == nil {
				return nil, err
			}
			found = []v1alpha1.Intercept{*i}
		}
		for _, i := range found {
			if !slices.ContainsFunc(chosen, func(c v1alpha1.Intercept) bool { return c.Name == i.Name && c.Namespace == i.Namespace }) {
				chosen = append(chosen, i)
			}
		}
	}
	return chosen, nil
}

func (o *Options) sayEmpty() {
	if o.namespace == "" {
		fmt.Fprintln(o.ErrOut, "No intercepts of yours found.")
		return
	}
	fmt.Fprintf(o.ErrOut, "No intercepts of yours found in %s namespace.\n", o.namespace)
}

func (o *Options) delete(ctx context.Context, i *v1alpha1.Intercept) error {
	opts := []client.DeleteOption{client.Preconditions{UID: &i.UID}}
	switch o.DryRun {
	case cmdutil.DryRunClient:
		return nil
	case cmdutil.DryRunServer:
		opts = append(opts, client.DryRunAll)
	}
	return o.client.Delete(ctx, i, opts...)
}

// left is what remains of --timeout, which is for all intercepts together.
func (o *Options) left(began time.Time) time.Duration {
	if o.Timeout <= 0 {
		return o.Timeout
	}
	return max(o.Timeout-time.Since(began), time.Millisecond)
}

// await returns when the object is gone: the traffic-manager keeps it until
// every agent has taken its redirect away.
func (o *Options) await(ctx context.Context, i *v1alpha1.Intercept, timeout time.Duration) error {
	last := i
	gone := func(now *v1alpha1.Intercept) (bool, error) {
		if now == nil || now.UID != i.UID {
			return true, nil
		}
		last = now
		return false, nil
	}
	err := target.FollowFor(ctx, timeout, o.client, client.ObjectKeyFromObject(i), gone)
	if errors.Is(err, target.ErrTimeout) {
		why := ""
		if last.Status.Message != "" {
			why = ": " + last.Status.Message
		}
		return fmt.Errorf("%w after %s: the traffic-manager has not confirmed that the traffic of %s is back%s; it goes on trying",
			target.ErrTimeout, o.Timeout, resolve.RefString(i.Spec.Workload), why)
	}
	return err
}

// report prints the workload that has its traffic back; with -o the intercept
// that ended.
func (o *Options) report(i *v1alpha1.Intercept) error {
	if o.brief {
		i.SetGroupVersionKind(v1alpha1.GroupVersion().WithKind("Intercept"))
		return o.printer.PrintObj(i, o.Out)
	}
	return o.printer.PrintObj(&metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: i.Spec.Workload.APIVersion, Kind: i.Spec.Workload.Kind},
		ObjectMeta: metav1.ObjectMeta{Name: i.Spec.Workload.Name, Namespace: i.Namespace},
	}, o.Out)
}
