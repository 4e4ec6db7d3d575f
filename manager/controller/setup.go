package controller

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// Setup registers the reconcilers with the manager.
func Setup(mgr ctrl.Manager, ic *Intercepts, s *Sessions) error {
	err := ctrl.NewControllerManagedBy(mgr).Named("intercept").
		For(&v1alpha1.Intercept{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: 4}).
		// A pod that appears, starts or goes concerns every Intercept of its namespace,
		// and so does an Intercept that releases a port.
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(ic.inNamespace)).
		// A ReplicaSet says whose a pod is, and its event may come after the pod's.
		Watches(&appsv1.ReplicaSet{}, handler.EnqueueRequestsFromMapFunc(ic.inNamespace),
			builder.WithPredicates(predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool { return !SameOwner(e.ObjectOld, e.ObjectNew) }})).
		Watches(&corev1.Service{}, handler.EnqueueRequestsFromMapFunc(ic.inNamespace)).
		Watches(&v1alpha1.Intercept{}, handler.EnqueueRequestsFromMapFunc(ic.inNamespace)).
		Watches(&v1alpha1.Session{}, handler.EnqueueRequestsFromMapFunc(ic.ofSession)).
		Complete(ic)
	if err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).Named("session").
		For(&v1alpha1.Session{}).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(s.ofRelay)).
		WatchesRawSource(source.Channel(s.Changes, handler.EnqueueRequestsFromMapFunc(s.all))).
		Complete(s)
}

// SameOwner says that both are a ReplicaSet, with the same owner. ReplicaSets change
// all the time because they count pods, which no reconciler reads.
func SameOwner(before, now any) bool {
	a, ok := before.(*appsv1.ReplicaSet)
	b, too := now.(*appsv1.ReplicaSet)
	return ok && too && equality.Semantic.DeepEqual(metav1.GetControllerOf(a), metav1.GetControllerOf(b))
}

func (r *Intercepts) inNamespace(ctx context.Context, o client.Object) []reconcile.Request {
	return r.requests(ctx, func(*v1alpha1.Intercept) bool { return true }, client.InNamespace(o.GetNamespace()))
}

func (r *Intercepts) ofSession(ctx context.Context, o client.Object) []reconcile.Request {
	return r.requests(ctx, func(ic *v1alpha1.Intercept) bool { return ic.Spec.Session == o.GetName() })
}

func (r *Intercepts) requests(ctx context.Context, want func(*v1alpha1.Intercept) bool, opts ...client.ListOption) []reconcile.Request {
	var list v1alpha1.InterceptList
	if err := r.Client.List(ctx, &list, opts...); err != nil {
		r.Log.Warn("list intercepts", "error", err)
		return nil
	}
	var out []reconcile.Request
	for i := range list.Items {
		if want(&list.Items[i]) {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
	}
	return out
}

// ofRelay are all Sessions if the pod may be a replica of the traffic-manager: a replica
// that goes has to be removed from those that it relayed.
func (r *Sessions) ofRelay(ctx context.Context, o client.Object) []reconcile.Request {
	if o.GetNamespace() != r.Namespace {
		return nil
	}
	return r.all(ctx, o)
}

// all are all Sessions, for a change of the cluster's network.
func (r *Sessions) all(ctx context.Context, _ client.Object) []reconcile.Request {
	var list v1alpha1.SessionList
	if err := r.Client.List(ctx, &list, client.InNamespace(r.Namespace)); err != nil {
		r.Log.Warn("list sessions", "error", err)
		return nil
	}
	var out []reconcile.Request
	for i := range list.Items {
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
	return out
}
