package target

import (
	"cmp"
	"context"
	"slices"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// Workloads lists what can be named in a namespace, or everywhere when it is
// "", by namespace and name. Objects that another one controls are left out:
// their owner stands for them.
func Workloads(ctx context.Context, r client.Reader, namespace string) ([]*resolve.Workload, error) {
	var (
		deployments  appsv1.DeploymentList
		statefulSets appsv1.StatefulSetList
		replicaSets  appsv1.ReplicaSetList
		pods         corev1.PodList
		rollouts     []*resolve.Workload
	)
	g, gctx := errgroup.WithContext(ctx)
	for _, list := range []client.ObjectList{&deployments, &statefulSets, &replicaSets, &pods} {
		g.Go(func() error { return r.List(gctx, list, client.InNamespace(namespace)) })
	}
	g.Go(func() (err error) {
		rollouts, err = listRollouts(gctx, r, namespace)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var objs []client.Object
	for i := range deployments.Items {
		objs = append(objs, &deployments.Items[i])
	}
	for i := range statefulSets.Items {
		objs = append(objs, &statefulSets.Items[i])
	}
	for i := range replicaSets.Items {
		objs = append(objs, &replicaSets.Items[i])
	}
	for i := range pods.Items {
		if p := &pods.Items[i]; p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed {
			objs = append(objs, p)
		}
	}
	all := rollouts
	for _, o := range objs {
		if metav1.GetControllerOf(o) != nil {
			continue
		}
		w, err := resolve.From(o)
		if err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	slices.SortStableFunc(all, func(a, b *resolve.Workload) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.String(), b.String()))
	})
	return all, nil
}

// listRollouts is empty where Argo Rollouts is not installed or not to be
// read.
func listRollouts(ctx context.Context, r client.Reader, namespace string) ([]*resolve.Workload, error) {
	var list unstructured.UnstructuredList
	list.SetGroupVersionKind(Rollout().WithKind("RolloutList"))
	err := r.List(ctx, &list, client.InNamespace(namespace))
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) || meta.IsNoMatchError(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []*resolve.Workload
	for _, u := range list.Items {
		w, err := resolve.Get(ctx, r, u.GetNamespace(), v1alpha1.WorkloadReference{
			APIVersion: Rollout().String(), Kind: "Rollout", Name: u.GetName()})
		if apierrors.IsNotFound(err) {
			continue // gone, or its workloadRef is
		}
		if err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	return all, nil
}
