package controller

import (
	"context"
	"fmt"
	"reflect"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
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
		For(&v1alpha1.Intercept{}, builder.WithPredicates(predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool { return !OnlyCounters(e.ObjectOld, e.ObjectNew) }})).
		WithOptions(controller.Options{MaxConcurrentReconciles: 4}).
		// A pod that appears, starts or goes concerns every Intercept of its namespace,
		// and so does an Intercept that releases a port.
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(ic.inNamespace)).
		// A ReplicaSet says whose a pod is, and its event may come after the pod's.
		Watches(&appsv1.ReplicaSet{}, handler.EnqueueRequestsFromMapFunc(ic.inNamespace),
			builder.WithPredicates(predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool { return !SameOwner(e.ObjectOld, e.ObjectNew) }})).
		Watches(&corev1.Service{}, handler.EnqueueRequestsFromMapFunc(ic.inNamespace)).
		Watches(&v1alpha1.Intercept{}, handler.EnqueueRequestsFromMapFunc(ic.inNamespace),
			builder.WithPredicates(predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool { return concernsOthers(e.ObjectOld, e.ObjectNew) }})).
		Watches(&v1alpha1.Session{}, handler.EnqueueRequestsFromMapFunc(ic.ofSession)).
		Complete(ic)
	if err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).Named("session").
		For(&v1alpha1.Session{}).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(s.ofRelay)).
		WatchesRawSource(source.Channel(s.Changes, handler.EnqueueRequestsFromMapFunc(s.all))).
		WatchesRawSource(source.Channel(s.Judged, handler.EnqueueRequestsFromMapFunc(s.all))).
		Complete(s)
}

// SameOwner says that both are a ReplicaSet, with the same owner. ReplicaSets change
// all the time because they count pods, which no reconciler reads.
func SameOwner(before, now any) bool {
	a, ok := before.(*appsv1.ReplicaSet)
	b, too := now.(*appsv1.ReplicaSet)
	return ok && too && equality.Semantic.DeepEqual(metav1.GetControllerOf(a), metav1.GetControllerOf(b))
}

// OnlyCounters says that both are an Intercept, and nothing but what agents count has changed.
func OnlyCounters(before, now any) bool {
	a, ok := before.(*v1alpha1.Intercept)
	b, too := now.(*v1alpha1.Intercept)
	return ok && too && equality.Semantic.DeepEqual(withoutCounters(a), withoutCounters(b))
}

// withoutCounters is a copy without what the agents count, and what changes with each
// write.
func withoutCounters(ic *v1alpha1.Intercept) *v1alpha1.Intercept {
	c := ic.DeepCopy()
	c.ResourceVersion, c.ManagedFields = "", nil
	c.Status.Connections, c.Status.Requests = 0, 0
	if m := c.Status.Matching; m != nil && m.Taken > 0 { // how often is all the same, then
		c.Status.Matching = &v1alpha1.Matching{Comparison: v1alpha1.Comparison{Taken: 1}}
	}
	for i := range c.Status.Pods {
		p := &c.Status.Pods[i]
		p.Counters = v1alpha1.Counters{}
		for k := range p.Ports {
			p.Ports[k].Counters, p.Ports[k].Comparison = v1alpha1.Counters{}, nil
		}
	}
	return c
}

// concernsOthers says that something of an Intercept has changed that the reconciliation of
// others reads: what it asks for, what it has, and how good its claim on that is.
func concernsOthers(before, now any) bool {
	a, ok := before.(*v1alpha1.Intercept)
	b, too := now.(*v1alpha1.Intercept)
	if !ok || !too {
		return true
	}
	type claimed struct {
		mode             v1alpha1.InterceptMode
		match            *v1alpha1.Match
		ports            []v1alpha1.ResolvedPort
		injection        v1alpha1.InjectMode
		resolved, active string
	}
	of := func(ic *v1alpha1.Intercept) claimed {
		s := &ic.Status
		c := claimed{mode: s.Mode, match: s.Match, ports: s.Ports, injection: s.Injection}
		for kind, to := range map[string]*string{v1alpha1.ConditionResolved: &c.resolved, v1alpha1.ConditionActive: &c.active} {
			if x := meta.FindStatusCondition(s.Conditions, kind); x != nil {
				*to = fmt.Sprint(x.Status, x.Reason, x.ObservedGeneration)
			}
		}
		return c
	}
	return !reflect.DeepEqual(a.Spec, b.Spec) || a.Generation != b.Generation || (a.DeletionTimestamp == nil) != (b.DeletionTimestamp == nil) ||
		!reflect.DeepEqual(of(a), of(b))
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
