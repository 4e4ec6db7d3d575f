package controller

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// Setup registers the reconcilers with the manager.
func Setup(mgr ctrl.Manager, ic *Intercepts, s *Sessions) error {
	err := ctrl.NewControllerManagedBy(mgr).Named("intercept").
		For(&v1alpha1.Intercept{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: 4}).
		// A pod that comes, goes or starts concerns every intercept around it,
		// and so does an intercept that releases a port.
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(ic.inNamespace)).
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

// ofRelay: when a replica of the traffic-manager goes, every session that it
// relayed has to be told apart from the rest.
func (r *Sessions) ofRelay(ctx context.Context, o client.Object) []reconcile.Request {
	if o.GetNamespace() != r.Namespace {
		return nil
	}
	return r.all(ctx, o)
}

// all: the cluster's network concerns every session.
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
