package resolve

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// From is Get for an object that is at hand: a Deployment, StatefulSet,
// DaemonSet, ReplicaSet, Job or Pod. A Deployment has yet to Learn of its
// ReplicaSets.
func From(obj client.Object) (*Workload, error) {
	w := &Workload{Namespace: obj.GetNamespace(), Replicas: -1}
	name := func(gv schema.GroupVersion, kind string) {
		w.Ref = v1alpha1.WorkloadReference{APIVersion: gv.String(), Kind: kind, Name: obj.GetName()}
	}
	switch o := obj.(type) {
	case *appsv1.Deployment:
		name(appsv1.SchemeGroupVersion, "Deployment")
		w.Surges = surges(&o.Spec.Strategy)
		return w.fromTemplate(o.UID, o.Spec.Selector, &o.Spec.Template, o.Spec.Replicas)
	case *appsv1.StatefulSet:
		name(appsv1.SchemeGroupVersion, "StatefulSet")
		w.OnDelete = o.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType
		return w.fromTemplate(o.UID, o.Spec.Selector, &o.Spec.Template, o.Spec.Replicas)
	case *appsv1.DaemonSet:
		name(appsv1.SchemeGroupVersion, "DaemonSet")
		w.OnDelete, w.Surges = o.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType, daemonSurges(&o.Spec.UpdateStrategy)
		return w.fromTemplate(o.UID, o.Spec.Selector, &o.Spec.Template, &o.Status.DesiredNumberScheduled)
	case *batchv1.Job:
		name(batchv1.SchemeGroupVersion, "Job")
		w.Ended = slices.ContainsFunc(o.Status.Conditions, func(c batchv1.JobCondition) bool {
			return (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue
		})
		return w.fromTemplate(o.UID, o.Spec.Selector, &o.Spec.Template, o.Spec.Parallelism)
	case *appsv1.ReplicaSet:
		name(appsv1.SchemeGroupVersion, "ReplicaSet")
		if _, err := w.fromTemplate(o.UID, o.Spec.Selector, &o.Spec.Template, o.Spec.Replicas); err != nil {
			return nil, err
		}
		w.owners = []owner{replicaSet(o)}
		return w, nil
	case *corev1.Pod:
		name(corev1.SchemeGroupVersion, "Pod")
		w.UID, w.Labels, w.Annotations, w.Spec, w.Replicas = o.UID, o.Labels, o.Annotations, *sidecar.Application(o), 1
		w.names = sets.New(o.Name)
		return w, nil
	}
	return nil, fmt.Errorf("%T is no workload", obj)
}
