// Package controller reconciles Intercepts and Sessions. One replica, the
// leader, resolves what is asked, decides who gets a port, brings agents into
// pods and says in conditions how far things are. What agents do is not its
// business: every replica tells its own (package agents).
package controller

import (
	"context"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/inject"
	"github.com/kubectl-intercept/kubectl-intercept/manager/mesh"
	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
	"github.com/kubectl-intercept/kubectl-intercept/manager/webhook"
)

// finalizer holds a deleted Intercept until no agent redirects for it, so
// that who waits for the deletion waits for the traffic.
const finalizer = v1alpha1.Group + "/redirect"

const (
	// releaseTimeout is how long a deleted Intercept waits for agents that do
	// not answer. Their flows are refused by then, so the application has them.
	releaseTimeout = 10 * time.Second
	// absence is how long a disconnected laptop keeps others off its ports.
	absence = time.Minute
	// orphanLife is how long an Intercept may be there without its Session.
	orphanLife = time.Minute
)

// Intercepts reconciles Intercepts.
type Intercepts struct {
	// Client reads from the cache and writes to the API server.
	Client client.Client
	// Namespace holds the Sessions.
	Namespace string
	Authority *pki.Authority
	// Live reads from the API server.
	Live client.Reader
	// Agent is what agents are started with.
	Agent func() inject.Config
	// Policy says which pods may have a sidecar; HasWebhook that there is
	// somebody to inject it.
	Policy     webhook.Policy
	HasWebhook bool
	// SchedulingGrace is how long a pod with a sidecar may look for a node.
	SchedulingGrace time.Duration
	// Mesh keeps the Sidecar objects of Istio; nil without that mesh.
	Mesh   *mesh.Keeper
	Events events.EventRecorder
	Log    *slog.Logger

	mu      sync.Mutex
	waiting map[types.UID]silence // pods whose agents do not report
	// abandoned are Intercepts whose sidecars kept pods from coming up.
	abandoned map[types.UID]failure

	replacing sync.Mutex
	failed    map[string]failure      // by Intercept UID
	wanted    map[string]want         // since when pods are to have a sidecar, by Intercept UID
	acted     map[types.UID]time.Time // when a workload's pods were touched last
	evicted   map[types.UID]time.Time // when one of them was evicted last
	going     map[types.UID]time.Time // when one of them was seen last that has not gone yet
	said      map[types.UID]string    // what was waited for last
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
	old := ic.DeepCopy()
	ic.Status.ObservedGeneration = ic.Generation
	again, err := r.advance(ctx, &ic)
	if err != nil {
		return ctrl.Result{}, err
	}
	if !reflect.DeepEqual(old.Status, ic.Status) {
		if err := r.Client.Status().Patch(ctx, &ic, client.MergeFromWithOptions(old, client.MergeFromWithOptimisticLock{})); err != nil {
			return retry(err)
		}
		r.announce(ctx, old, &ic)
	}
	return ctrl.Result{RequeueAfter: again}, nil
}

// advance resolves, attaches and judges; it changes ic's status only, and
// returns when to look again.
func (r *Intercepts) advance(ctx context.Context, ic *v1alpha1.Intercept) (time.Duration, error) {
	session, problem, err := r.session(ctx, ic)
	if err != nil {
		return 0, err
	}
	var w *resolve.Workload
	var pods []corev1.Pod
	if problem == nil {
		w, problem, err = r.resolve(ctx, ic)
		if err != nil {
			return 0, err
		}
	}
	if problem == nil {
		if pods, err = w.Pods(ctx, r.Client); err != nil {
			return 0, err
		}
		problem, err = r.conflict(ctx, ic, w, pods)
		if err != nil {
			return 0, err
		}
	}
	if problem != nil {
		if problem.reason == v1alpha1.ReasonSessionNotFound {
			err = r.orphaned(ctx, ic)
		}
		unresolved(ic, problem)
		return 5 * time.Second, err
	}
	set(ic, v1alpha1.ConditionResolved, metav1.ConditionTrue, v1alpha1.ReasonResolved,
		resolve.RefString(ic.Spec.Workload)+" port "+ic.Status.Port)
	prune(ic, pods)
	attached, again, err := r.attach(ctx, ic, w, pods)
	if err != nil {
		return 0, err
	}
	if attached.nobody = nobody(w, pods); attached.pods == 0 && len(attached.lost) > 0 {
		attached.nobody = strings.Join(attached.lost, "; ")
	}
	if attached.unserved, err = r.unserved(ctx, ic, &attached); err != nil {
		return 0, err
	}
	judge(ic, session, attached)
	return again, nil
}

// problem is why an Intercept cannot be resolved.
type problem struct{ reason, message string }

// session finds the Session and whether it is the user's own.
func (r *Intercepts) session(ctx context.Context, ic *v1alpha1.Intercept) (*v1alpha1.Session, *problem, error) {
	var s v1alpha1.Session
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: ic.Spec.Session}, &s)
	switch {
	case apierrors.IsNotFound(err):
		return nil, &problem{v1alpha1.ReasonSessionNotFound, "session " + ic.Spec.Session + " does not exist"}, nil
	case err != nil:
		return nil, nil, err
	case s.Spec.User != ic.Spec.User:
		return nil, &problem{v1alpha1.ReasonSessionForeign, "session " + s.Name + " belongs to another user than " + ic.Spec.User}, nil
	}
	return &s, nil, nil
}

// orphaned deletes an Intercept whose Session is gone for good: nobody led when
// that was deleted.
func (r *Intercepts) orphaned(ctx context.Context, ic *v1alpha1.Intercept) error {
	c := meta.FindStatusCondition(ic.Status.Conditions, v1alpha1.ConditionResolved)
	if c == nil || c.Reason != v1alpha1.ReasonSessionNotFound || time.Since(c.LastTransitionTime.Time) < orphanLife {
		return nil
	}
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: ic.Spec.Session}, &v1alpha1.Session{})
	if !apierrors.IsNotFound(err) {
		return err
	}
	r.Log.Info("the session of an intercept is gone", "intercept", ic.Namespace+"/"+ic.Name, "session", ic.Spec.Session)
	return client.IgnoreNotFound(r.Client.Delete(ctx, ic, client.Preconditions{UID: &ic.UID}))
}

// release lets a deleted Intercept go once no agent redirects for it.
func (r *Intercepts) release(ctx context.Context, ic *v1alpha1.Intercept) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(ic, finalizer) {
		return ctrl.Result{}, nil
	}
	if err := r.unlead(ctx, ic); err != nil {
		return ctrl.Result{}, err
	}
	left := releaseTimeout - time.Since(ic.DeletionTimestamp.Time)
	if len(ic.Status.Pods) > 0 && left > 0 {
		var pods corev1.PodList
		if err := r.Client.List(ctx, &pods, client.InNamespace(ic.Namespace)); err != nil {
			return ctrl.Result{}, err
		}
		if prune(ic, pods.Items); len(ic.Status.Pods) > 0 {
			return ctrl.Result{RequeueAfter: min(left, time.Second)}, nil
		}
	}
	for _, s := range ic.Status.Pods {
		r.Log.Warn("an intercept goes before agents that did not give back in time", "intercept", ic.Namespace+"/"+ic.Name, "pod", s.Name, "state", s.State)
	}
	if err := r.giveUp(ctx, ic); err != nil {
		return ctrl.Result{}, err
	}
	old := ic.DeepCopy()
	controllerutil.RemoveFinalizer(ic, finalizer)
	if err := r.Client.Patch(ctx, ic, client.MergeFromWithOptions(old, client.MergeFromWithOptimisticLock{})); err != nil {
		return retry(err)
	}
	r.event(ctx, ic, corev1.EventTypeNormal, "InterceptRemoved", "Intercept",
		"%s no longer intercepts %s", ic.Spec.User, resolve.RefString(ic.Spec.Workload))
	return ctrl.Result{}, nil
}

// retry makes a conflict a quiet second try: the cache was behind.
func retry(err error) (ctrl.Result, error) {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return ctrl.Result{RequeueAfter: 30 * time.Millisecond}, nil
	}
	return ctrl.Result{}, err
}
