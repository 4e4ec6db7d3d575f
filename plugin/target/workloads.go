package target

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
)

// Listing is what can be named.
type Listing struct {
	// Workloads are sorted by namespace and name.
	Workloads []*resolve.Workload
	// Unlisted are resources that the user may not list, so that workloads may be
	// missing. Rollouts are among them also where the cluster has none.
	Unlisted []string
	// Pods are all of the namespaces, whatever opts choose.
	Pods []corev1.Pod
}

// RolloutResource is Unlisted's word for Rollouts.
const RolloutResource = "rollouts.argoproj.io"

// Gap says in a sentence what the user may not list in a namespace, or in all when
// it is ""; empty if nothing is missing. serves tells whether the cluster has a group
// at all, for resources that it may not have.
func (l *Listing) Gap(namespace string, serves func(schema.GroupVersion) (bool, error)) string {
	missing := slices.DeleteFunc(slices.Clone(l.Unlisted), func(resource string) bool {
		if resource != RolloutResource {
			return false
		}
		has, err := serves(Rollout())
		return err == nil && !has
	})
	if len(missing) == 0 {
		return ""
	}
	where := fmt.Sprintf("in namespace %q", namespace)
	if namespace == "" {
		where = "in all namespaces"
	}
	return fmt.Sprintf("you may not list %s %s, so they are not looked at (the ClusterRole \"view\" allows it)", strings.Join(missing, ", "), where)
}

// Workloads lists what can be named in a namespace, or everywhere when it is "";
// opts may choose among that. Objects that another one of these controls are left
// out: their owner stands for them. It is an error only if the user may list nothing at all.
func Workloads(ctx context.Context, r client.Reader, namespace string, opts ...client.ListOption) (*Listing, error) {
	here := client.InNamespace(namespace)
	var choice client.ListOptions
	choice.ApplyOptions(opts)
	opts = append([]client.ListOption{here}, opts...)
	found := &Listing{}
	var sets appsv1.ReplicaSetList // all of them, for they say whose pods are whose
	var pods corev1.PodList
	kinds := []kind{
		{resource: "deployments.apps", name: "Deployment", list: &appsv1.DeploymentList{}, opts: opts},
		{resource: "statefulsets.apps", name: "StatefulSet", list: &appsv1.StatefulSetList{}, opts: opts},
		{resource: "daemonsets.apps", name: "DaemonSet", list: &appsv1.DaemonSetList{}, opts: opts},
		{resource: "replicasets.apps", name: "ReplicaSet", list: &sets, opts: []client.ListOption{here}},
		{resource: "jobs.batch", name: "Job", list: &batchv1.JobList{}, opts: opts},
		{resource: "pods", name: "Pod", list: &pods, opts: []client.ListOption{here}},
		{resource: RolloutResource, name: "Rollout", list: rolloutList(), opts: opts},
	}
	g, gctx := errgroup.WithContext(ctx)
	for i := range kinds {
		g.Go(func() error { return kinds[i].read(gctx, r) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	found.Pods = pods.Items
	nameable := map[string]bool{}
	for _, k := range kinds {
		if k.forbidden != nil {
			found.Unlisted = append(found.Unlisted, k.resource)
		}
		nameable[k.name] = true
	}
	if len(found.Unlisted) == len(kinds) {
		return nil, kinds[0].forbidden
	}
	for _, k := range kinds {
		err := meta.EachListItem(k.list, func(item runtime.Object) error {
			o := item.(client.Object)
			owner := metav1.GetControllerOf(o)
			if owner != nil && nameable[owner.Kind] || choice.LabelSelector != nil && !choice.LabelSelector.Matches(labels.Set(o.GetLabels())) {
				return nil
			}
			return found.add(ctx, r, o)
		})
		if err != nil {
			return nil, err
		}
	}
	if !slices.Contains(found.Unlisted, "replicasets.apps") {
		for _, w := range found.Workloads {
			w.Learn(sets.Items)
		}
	}
	slices.SortStableFunc(found.Workloads, func(a, b *resolve.Workload) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.String(), b.String()))
	})
	return found, nil
}

// kind is a resource whose objects can be workloads.
type kind struct {
	resource  string
	name      string
	list      client.ObjectList
	opts      []client.ListOption
	forbidden error
}

// read lists. What the cluster does not have is empty.
func (k *kind) read(ctx context.Context, r client.Reader) error {
	err := r.List(ctx, k.list, k.opts...)
	switch {
	case apierrors.IsForbidden(err):
		k.forbidden = err
	case k.resource == RolloutResource && (apierrors.IsNotFound(err) || meta.IsNoMatchError(err)):
	default:
		return err
	}
	return nil
}

// add takes an object in, unless it is over.
func (l *Listing) add(ctx context.Context, r client.Reader, o client.Object) error {
	var w *resolve.Workload
	var err error
	switch o := o.(type) {
	case *unstructured.Unstructured:
		w, err = resolve.FromRollout(ctx, r, o)
		if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
			return nil // gone, or its workloadRef is, or that may not be read
		}
	case *corev1.Pod:
		if o.Status.Phase == corev1.PodSucceeded || o.Status.Phase == corev1.PodFailed {
			return nil
		}
		w, err = resolve.From(o)
	default:
		w, err = resolve.From(o)
	}
	if err == nil && !w.Ended {
		l.Workloads = append(l.Workloads, w)
	}
	return err
}

func rolloutList() client.ObjectList {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(Rollout().WithKind("RolloutList"))
	return list
}
