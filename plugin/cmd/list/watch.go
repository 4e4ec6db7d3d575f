package list

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
)

const (
	settle     = 200 * time.Millisecond // changes come in bursts
	retryWatch = time.Second
)

// watch prints the list, then each row that changes.
func (o *Options) watch(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	g, ctx := errgroup.WithContext(ctx)
	for resource, list := range map[string]client.ObjectList{
		"intercepts": &v1alpha1.InterceptList{}, "deployments": &appsv1.DeploymentList{}, "statefulsets": &appsv1.StatefulSetList{},
		"replicasets": &appsv1.ReplicaSetList{}, "daemonsets": &appsv1.DaemonSetList{}, "jobs": &batchv1.JobList{}, "pods": &corev1.PodList{},
	} {
		g.Go(func() error { return o.notice(ctx, resource, list, changed) })
	}
	g.Go(func() error { return o.printChanges(ctx, changed) })
	return g.Wait()
}

// notice signals every change of a resource until ctx ends. What the user may not
// watch is said and left out.
func (o *Options) notice(ctx context.Context, resource string, list client.ObjectList, changed chan<- struct{}) error {
	for {
		w, err := o.client.Watch(ctx, list, client.InNamespace(o.namespace))
		if apierrors.IsForbidden(err) {
			o.warn(fmt.Sprintf("you may not watch %s, so what changes in them alone is not shown", resource))
			return nil
		}
		if apierrors.IsNotFound(err) {
			return err
		}
		if err == nil {
			for range w.ResultChan() {
				select {
				case changed <- struct{}{}:
				default:
				}
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryWatch):
		}
	}
}

func (o *Options) printChanges(ctx context.Context, changed chan struct{}) error {
	type key struct{ namespace, workload string }
	seen := map[key]Workload{}
	out := printers.GetNewTabWriter(o.Out) // remembers how wide the columns are
	for first := true; ; first = false {
		pause := settle
		all, err := o.collect(ctx)
		if err != nil && first {
			return err
		}
		if err != nil && ctx.Err() == nil { // what has changed is still to be shown
			o.warn(render.Error(err) + "; trying again")
			select {
			case changed <- struct{}{}:
			default:
			}
			pause = retryWatch
		}
		var news []Workload
		for _, row := range all {
			k := key{row.Namespace, row.Workload.Kind + "/" + row.Name}
			if before, ok := seen[k]; !ok || before.Message != row.Message || !sameNumbers(before, row) {
				news = append(news, row)
			}
			seen[k] = row
		}
		if first && len(news) == 0 && o.printer.human() {
			o.sayEmpty()
		}
		if len(news) > 0 {
			if err := o.printer.each(out, news); err != nil {
				return err
			}
			if err := out.Flush(); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// sameNumbers says whether a wide row would look the same.
func sameNumbers(a, b Workload) bool {
	now := time.Now()
	return slices.EqualFunc(table([]Workload{a}, true, now).Rows, table([]Workload{b}, true, now).Rows, func(a, b metav1.TableRow) bool {
		return slices.Equal(a.Cells, b.Cells)
	})
}
