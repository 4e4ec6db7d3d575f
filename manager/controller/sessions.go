package controller

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// sessionLife is how long a Session stays without its laptop: over a weekend.
const sessionLife = 72 * time.Hour

// Sessions reconciles Sessions: it keeps their status true, deletes those that a user has too
// many of, and the Intercepts of Sessions that are gone. The leader runs it.
type Sessions struct {
	Client    client.Client
	Namespace string
	// Network is what Sessions tell of the cluster's network; nil while nothing is known.
	// Changes has an event whenever Network changes.
	Network func() *v1alpha1.SessionNetwork
	Changes <-chan event.GenericEvent
	// Identity says whether a Session is its user's. Judged has an event whenever it may say
	// something else of all.
	Identity Identity
	Judged   <-chan event.GenericEvent
	Log      *slog.Logger
}

// Identity says of a Session whether it is its user's, and for how long: see package identity.
type Identity interface {
	Admit(context.Context, *v1alpha1.Session) error
	Condition(context.Context, *v1alpha1.Session) (metav1.Condition, time.Duration)
}

// Reconcile brings the status of one Session up to date.
func (r *Sessions) Reconcile(ctx context.Context, q ctrl.Request) (ctrl.Result, error) {
	var s v1alpha1.Session
	err := r.Client.Get(ctx, q.NamespacedName, &s)
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, err
	}
	if err != nil || s.DeletionTimestamp != nil {
		return ctrl.Result{}, r.end(ctx, q.Name)
	}
	if s.Spec.Renews != "" {
		return ctrl.Result{}, r.renew(ctx, &s)
	}
	if meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionConnected) == nil { // it is new
		if gone, err := r.bound(ctx, &s); gone || err != nil {
			return ctrl.Result{}, err
		}
	}
	old := s.DeepCopy()
	if err := r.prune(ctx, &s); err != nil {
		return ctrl.Result{}, err
	}
	connected(&s)
	confirmed, again := r.Identity.Condition(ctx, &s)
	meta.SetStatusCondition(&s.Status.Conditions, confirmed)
	if n := r.Network(); n != nil {
		s.Status.Network = n.DeepCopy()
	}
	if !equality.Semantic.DeepEqual(old.Status, s.Status) {
		if err := r.Client.Status().Patch(ctx, &s, client.MergeFromWithOptions(old, client.MergeFromWithOptimisticLock{})); err != nil {
			return retry(err)
		}
	}
	c := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionConnected)
	if c.Status == metav1.ConditionTrue {
		return ctrl.Result{RequeueAfter: again}, nil
	}
	left := sessionLife - time.Since(c.LastTransitionTime.Time)
	if left > 0 {
		if again > 0 {
			left = min(left, again)
		}
		return ctrl.Result{RequeueAfter: left}, nil
	}
	r.Log.Info("session has not been seen for long", "session", s.Name, "life", sessionLife)
	return ctrl.Result{}, client.IgnoreNotFound(r.Client.Delete(ctx, &s))
}

// end deletes the Intercepts of a Session that is gone.
func (r *Sessions) end(ctx context.Context, name string) error {
	var list v1alpha1.InterceptList
	if err := r.Client.List(ctx, &list); err != nil {
		return err
	}
	for i := range list.Items {
		if ic := &list.Items[i]; ic.Spec.Session == name && ic.DeletionTimestamp == nil {
			if err := r.Client.Delete(ctx, ic); client.IgnoreNotFound(err) != nil {
				return fmt.Errorf("delete intercept %s/%s: %w", ic.Namespace, ic.Name, err)
			}
		}
	}
	return nil
}

// prune removes relays whose pods are gone.
func (r *Sessions) prune(ctx context.Context, s *v1alpha1.Session) error {
	var pods corev1.PodList
	if err := r.Client.List(ctx, &pods, client.InNamespace(r.Namespace)); err != nil {
		return err
	}
	s.Status.Relays = slices.DeleteFunc(s.Status.Relays, func(relay v1alpha1.Relay) bool {
		return !slices.ContainsFunc(pods.Items, func(p corev1.Pod) bool {
			return p.Name == relay.Pod && p.DeletionTimestamp == nil && p.Status.Phase == corev1.PodRunning
		})
	})
	return nil
}

// connected derives the condition from the relays.
func connected(s *v1alpha1.Session) {
	c := metav1.Condition{Type: v1alpha1.ConditionConnected, Status: metav1.ConditionFalse,
		Reason: "NoCarrier", Message: "the laptop has no connection to the traffic-manager"}
	if n := len(s.Status.Relays); n > 0 {
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, "Carrier", "the laptop is connected"
	}
	meta.SetStatusCondition(&s.Status.Conditions, c)
}
