// Package controller reconciles Intercepts and Sessions. One replica, the leader,
// resolves what the spec asks for, decides who gets a port, brings agents into pods and
// says in conditions how far things are. Every replica tells its own agents what to do,
// which is the business of package agents.
package controller

import (
	"context"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/inject"
	"github.com/kubectl-intercept/kubectl-intercept/manager/replacement"
	"github.com/kubectl-intercept/kubectl-intercept/manager/status"
)

// finalizer keeps a deleted Intercept until no agent redirects for it, so that a
// caller that waits for the deletion waits for the traffic.
const finalizer = v1alpha1.Group + "/redirect"

const (
	// releaseTimeout is how long a deleted Intercept waits for agents that do not
	// answer. Their flows are refused by then, so the application has them.
	releaseTimeout = 10 * time.Second
	// absence is how long a disconnected laptop keeps others off its ports.
	absence = time.Minute
	// sessionlessLife is how long an Intercept may exist without its Session.
	sessionlessLife = time.Minute
)

// Intercepts reconciles Intercepts. It has a method for each step of a reconciliation,
// over several files; Reconcile and decide call them.
type Intercepts struct {
	// Client reads from the cache and writes to the API server.
	Client client.Client
	// Live reads from the API server.
	Live client.Reader
	// Namespace holds the Sessions.
	Namespace string
	// Agents brings ephemeral agents into pods, Replacer sidecars.
	Agents   *EphemeralAgents
	Replacer *replacement.Replacer
	// Policy says which pods may have a sidecar; HasWebhook that the API server asks
	// this traffic-manager about new pods.
	Policy     inject.Policy
	HasWebhook bool
	// Mesh keeps the Sidecar objects of Istio; empty without that mesh.
	Mesh Mesh
	// UnmatchedAfter is how long after the first request that a personal intercept does not
	// take its owner is told that it takes none; 0 is never.
	UnmatchedAfter time.Duration
	Events         events.EventRecorder
	Log            *slog.Logger

	compiled compiled
}

// Reconcile brings one Intercept forward.
func (r *Intercepts) Reconcile(ctx context.Context, q ctrl.Request) (ctrl.Result, error) {
	var ic v1alpha1.Intercept
	if err := r.Client.Get(ctx, q.NamespacedName, &ic); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if ic.DeletionTimestamp != nil {
		return r.release(ctx, &ic)
	}
	if !controllerutil.ContainsFinalizer(&ic, finalizer) {
		old := ic.DeepCopy()
		controllerutil.AddFinalizer(&ic, finalizer)
		if err := r.Client.Patch(ctx, &ic, client.MergeFromWithOptions(old, client.MergeFromWithOptimisticLock{})); err != nil {
			return retry(err)
		}
	}
	d, again, err := r.decide(ctx, &ic)
	if err != nil {
		return ctrl.Result{}, err
	}
	old, err := status.Write(ctx, r.Client, &ic, d.write)
	if err != nil {
		return retry(err)
	}
	if old != nil {
		r.announce(ctx, old, &ic)
	}
	return ctrl.Result{RequeueAfter: again}, nil
}

// release ends a deleted Intercept once no agent redirects for it.
func (r *Intercepts) release(ctx context.Context, ic *v1alpha1.Intercept) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(ic, finalizer) {
		return ctrl.Result{}, nil
	}
	if err := r.Mesh.remove(ctx, ic); err != nil {
		return ctrl.Result{}, err
	}
	reports := ic.Status.Pods
	left := releaseTimeout - time.Since(ic.DeletionTimestamp.Time)
	if len(reports) > 0 && left > 0 {
		var pods corev1.PodList
		if err := r.Client.List(ctx, &pods, client.InNamespace(ic.Namespace)); err != nil {
			return ctrl.Result{}, err
		}
		if reports = liveReports(reports, pods.Items); len(reports) > 0 {
			return ctrl.Result{RequeueAfter: min(left, time.Second)}, nil
		}
	}
	for _, s := range reports {
		r.Log.Warn("an intercept ends although agents may still redirect for it", "intercept", ic.Namespace+"/"+ic.Name, "pod", s.Name, "state", s.State)
	}
	if err := r.Replacer.End(ctx, ic); err != nil {
		return ctrl.Result{}, err
	}
	r.compiled.forget(ic)
	old := ic.DeepCopy()
	controllerutil.RemoveFinalizer(ic, finalizer)
	if err := r.Client.Patch(ctx, ic, client.MergeFromWithOptions(old, client.MergeFromWithOptimisticLock{})); err != nil {
		return retry(err)
	}
	r.ended(ctx, ic)
	return ctrl.Result{}, nil
}

// retry makes a conflict a quiet second attempt: the cache was behind.
func retry(err error) (ctrl.Result, error) {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return ctrl.Result{RequeueAfter: 30 * time.Millisecond}, nil
	}
	return ctrl.Result{}, err
}
