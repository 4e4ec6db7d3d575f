package main

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/agents"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/controller"
	"github.com/kubectl-intercept/kubectl-intercept/manager/plan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/preview"
	"github.com/kubectl-intercept/kubectl-intercept/manager/relay"
)

// watchPlans tells the planner when an Intercept, a Session or a workload has
// changed. Plans depend on what the status of Intercepts and Sessions says of ports and
// relays, and not on what agents count.
func watchPlans(ctx context.Context, mgr ctrl.Manager, p *plan.Planner) error {
	for _, o := range []client.Object{&v1alpha1.Intercept{}, &v1alpha1.Session{}, &appsv1.Deployment{}, &appsv1.StatefulSet{}, &appsv1.ReplicaSet{}} {
		inf, err := mgr.GetCache().GetInformer(ctx, o)
		if err != nil {
			return err
		}
		changed := func(any) { p.Changed() }
		if _, err := inf.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc: changed, DeleteFunc: changed,
			UpdateFunc: func(before, now any) {
				if !controller.SameOwner(before, now) && !controller.OnlyCounters(before, now) {
					p.Changed()
				}
			},
		}); err != nil {
			return err
		}
	}
	return nil
}

// watchReports tells the server when an Intercept has changed, so that the server
// compares it with the agents' reports.
func watchReports(ctx context.Context, mgr ctrl.Manager, s *agents.Server) error {
	inf, err := mgr.GetCache().GetInformer(ctx, &v1alpha1.Intercept{})
	if err != nil {
		return err
	}
	changed := func(o any) {
		if ic, ok := o.(*v1alpha1.Intercept); ok {
			s.Changed(ic.Namespace)
		}
	}
	_, err = inf.AddEventHandler(toolscache.ResourceEventHandlerFuncs{AddFunc: changed, UpdateFunc: func(_, now any) { changed(now) }})
	return err
}

// followSessions tells the relay of new Sessions and of what the API server has confirmed of
// them, and ends the carriers of one whose object is deleted, or will be when its finalizers
// are gone.
func followSessions(ctx context.Context, mgr ctrl.Manager, r *relay.Relay) error {
	inf, err := mgr.GetCache().GetInformer(ctx, &v1alpha1.Session{})
	if err != nil {
		return err
	}
	_, err = inf.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) {
			if s, ok := o.(*v1alpha1.Session); ok {
				r.Created(s.Name)
			}
		},
		UpdateFunc: func(_, now any) {
			switch s, ok := now.(*v1alpha1.Session); {
			case !ok:
			case s.DeletionTimestamp != nil:
				r.Drop(s.Name)
			default:
				r.Confirmed(s)
			}
		},
		DeleteFunc: func(o any) {
			if gone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
				o = gone.Obj
			}
			if s, ok := o.(*v1alpha1.Session); ok {
				r.Drop(s.Name)
			}
		},
	})
	return err
}

// forgetEnded ends what visitors have open of previews that have ended or changed.
func forgetEnded(ctx context.Context, mgr ctrl.Manager, p *preview.Server) error {
	inf, err := mgr.GetCache().GetInformer(ctx, &v1alpha1.Intercept{})
	if err != nil {
		return err
	}
	_, err = inf.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		UpdateFunc: func(before, now any) {
			b, ok := before.(*v1alpha1.Intercept)
			n, too := now.(*v1alpha1.Intercept)
			if ok && too {
				p.Forget(b, n)
			}
		},
		DeleteFunc: func(o any) {
			if gone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
				o = gone.Obj
			}
			if ic, ok := o.(*v1alpha1.Intercept); ok {
				p.Forget(ic, nil)
			}
		},
	})
	return err
}
