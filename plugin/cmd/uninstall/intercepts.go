package uninstall

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
)

// endIntercepts returns an error that lists the intercepts there are, or with
// Force deletes them and waits until callers reach the applications again. Only
// those of the scope count.
func (o *Options) endIntercepts(ctx context.Context, where *scope) error {
	list, err := o.intercepts(ctx, where)
	if err != nil || len(list) == 0 {
		return err
	}
	if !o.Force {
		return o.refuse(list)
	}
	fmt.Fprintf(o.ErrOut, "Ending %s: %s\n", count(len(list), "intercept"), names(list))
	for i := range list {
		if err := o.Client.Delete(ctx, &list[i]); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete intercept %s/%s: %w", list[i].Namespace, list[i].Name, err)
		}
	}
	return o.waitForNone(ctx, where)
}

// refuse lists the intercepts, in a table.
func (o *Options) refuse(list []v1alpha1.Intercept) error {
	var table bytes.Buffer
	var rows [][]string
	for _, i := range list {
		age := "<unknown>"
		if !i.CreationTimestamp.IsZero() {
			age = duration.HumanDuration(o.Now().Sub(i.CreationTimestamp.Time))
		}
		rows = append(rows, []string{i.Namespace, i.Name, i.Spec.User, resolve.RefString(i.Spec.Workload), age})
	}
	if err := render.Table(&table, []string{"NAMESPACE", "NAME", "USER", "WORKLOAD", "AGE"}, rows); err != nil {
		return err
	}
	return fmt.Errorf("%s would end with it:\n%s%s --force ends them",
		count(len(list), "intercept"), table.String(), o.Releases.Command("uninstall"))
}

// waitForNone waits until the traffic-manager has ended the last intercept. One
// that is dead, or does not come to an end, is not waited for: release does what
// is left, when it is gone.
func (o *Options) waitForNone(ctx context.Context, where *scope) error {
	deadline := time.After(o.Timeout)
	tick := time.NewTicker(o.Interval)
	defer tick.Stop()
	last := ""
	for {
		list, err := o.intercepts(ctx, where)
		if err != nil || len(list) == 0 {
			return err
		}
		if !o.managerRuns(ctx) {
			fmt.Fprintf(o.ErrOut, "The traffic-manager does not run, so it cannot end %s; it is removed first\n", names(list))
			return nil
		}
		if line := "waiting for intercepts to end: " + names(list); line != last {
			fmt.Fprintln(o.ErrOut, line)
			last = line
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("interrupted; the intercepts end, the traffic-manager stays; to go on, run %s", o.Releases.Command("uninstall"))
		case <-deadline:
			fmt.Fprintf(o.ErrOut, "The traffic-manager has not ended %s after %s; it is removed first\n", names(list), o.Timeout)
			return nil
		case <-tick.C:
		}
	}
}

// managerRuns says whether somebody is there to end intercepts. Who does not know
// waits for it.
func (o *Options) managerRuns(ctx context.Context) bool {
	d, err := o.deployment(ctx)
	if err != nil {
		return !apierrors.IsNotFound(err)
	}
	return d.Status.ReadyReplicas > 0
}

func (o *Options) deployment(ctx context.Context) (*appsv1.Deployment, error) {
	return o.Kube.AppsV1().Deployments(o.Namespace).Get(ctx, helm.ReleaseName, metav1.GetOptions{})
}

// release deletes the intercepts that are still there when the traffic-manager is
// gone, takes its finalizer off them in its place, and returns them. What an
// agent cannot send to a relay, the application gets.
func (o *Options) release(ctx context.Context, where *scope) ([]v1alpha1.Intercept, error) {
	list, err := o.intercepts(ctx, where)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	fmt.Fprintf(o.ErrOut, "Releasing %s in place of the traffic-manager\n", names(list))
	for i := range list {
		ic := &list[i]
		if err := o.Client.Delete(ctx, ic); client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("delete intercept %s/%s: %w", ic.Namespace, ic.Name, err)
		}
		old := ic.DeepCopy()
		ic.Finalizers = slices.DeleteFunc(ic.Finalizers, func(f string) bool {
			return strings.HasPrefix(f, v1alpha1.Group+"/")
		})
		if len(ic.Finalizers) > 0 {
			fmt.Fprintf(o.ErrOut, "Warning: intercept %s/%s stays until others take off %s\n",
				ic.Namespace, ic.Name, strings.Join(ic.Finalizers, ", "))
		}
		if err := o.Client.Patch(ctx, ic, client.MergeFrom(old)); client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("release intercept %s/%s: %w", ic.Namespace, ic.Name, err)
		}
	}
	return list, nil
}

// intercepts lists those of the scope. No definition, no intercepts.
func (o *Options) intercepts(ctx context.Context, where *scope) ([]v1alpha1.Intercept, error) {
	var list v1alpha1.InterceptList
	err := o.Client.List(ctx, &list)
	if unknown(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list intercepts: %w", err)
	}
	return slices.DeleteFunc(list.Items, func(i v1alpha1.Intercept) bool {
		return !where.has(i.Namespace)
	}), nil
}

// unknown says that the cluster has no such resource.
func unknown(err error) bool {
	return apierrors.IsNotFound(err) || meta.IsNoMatchError(err)
}

func names(list []v1alpha1.Intercept) string {
	out := make([]string, 0, len(list))
	for _, i := range list {
		out = append(out, i.Namespace+"/"+i.Name)
	}
	return strings.Join(out, ", ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
