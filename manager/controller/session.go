package controller

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
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

// sessionLife is how long a Session outlives its laptop: over a weekend.
const sessionLife = 72 * time.Hour

// Sessions keeps the statuses of Sessions true and ends what a deleted
// Session leaves behind. The leader runs it.
type Sessions struct {
	Client    client.Client
	Namespace string
	// Network is what Sessions tell of the cluster's, nil if nothing is known;
	// Changes has an event whenever it is another.
	Network func() *v1alpha1.SessionNetwork
	Changes <-chan event.GenericEvent
	Log     *slog.Logger
}

// Reconcile looks after one Session.
func (r *Sessions) Reconcile(ctx context.Context, q ctrl.Request) (ctrl.Result, error) {
	var s v1alpha1.Session
	err := r.Client.Get(ctx, q.NamespacedName, &s)
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, err
	}
	if err != nil || s.DeletionTimestamp != nil {
		return ctrl.Result{}, r.end(ctx, q.Name)
	}
	old := s.DeepCopy()
	if err := r.prune(ctx, &s); err != nil {
		return ctrl.Result{}, err
	}
	connected(&s)
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
		return ctrl.Result{}, nil
	}
	left := sessionLife - time.Since(c.LastTransitionTime.Time)
	if left > 0 {
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

// prune forgets relays whose pods are gone.
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

// Presence writes into Sessions which of them this replica relays. Every
// replica runs it, for itself.
type Presence struct {
	Client client.Client
	// Reader reads from the API server.
	Reader    client.Reader
	Namespace string
	// Relay is this replica.
	Relay v1alpha1.Relay
	// Connected says whether a session has a carrier here.
	Connected func(session string) bool
	Changes   <-chan string
	Log       *slog.Logger
}

// NeedLeaderElection says that every replica does this.
func (p *Presence) NeedLeaderElection() bool { return false }

// presenceEvery is how often is tried again what could not be written.
const presenceEvery = 10 * time.Second

// Start writes changes down until ctx ends, and first takes back what this
// replica has written before it was restarted.
func (p *Presence) Start(ctx context.Context) error {
	tick := time.NewTicker(presenceEvery)
	defer tick.Stop()
	left := map[string]bool{} // names that are still to be written
	listed := p.own(ctx, left)
	p.rest(ctx, left)
	for {
		select {
		case <-ctx.Done():
			return nil
		case name := <-p.Changes:
			delete(left, name)
			if !p.persist(ctx, name) {
				left[name] = true
			}
		case <-tick.C:
			listed = listed || p.own(ctx, left)
			p.rest(ctx, left)
		}
	}
}

// rest writes what is left, as far as that can be.
func (p *Presence) rest(ctx context.Context, left map[string]bool) {
	for name := range left {
		if p.write(ctx, name) == nil {
			delete(left, name)
		}
	}
}

// own adds the Sessions that name this replica.
func (p *Presence) own(ctx context.Context, names map[string]bool) bool {
	var list v1alpha1.SessionList
	if err := p.Reader.List(ctx, &list, client.InNamespace(p.Namespace)); err != nil {
		p.Log.Debug("list sessions", "error", err)
		return false
	}
	for _, s := range list.Items {
		if slices.ContainsFunc(s.Status.Relays, func(r v1alpha1.Relay) bool { return r.Pod == p.Relay.Pod }) {
			names[s.Name] = true
		}
	}
	return true
}

// persist writes a session down; false when several tries were in vain.
func (p *Presence) persist(ctx context.Context, name string) bool {
	for try := range 20 {
		err := p.write(ctx, name)
		if err == nil {
			return true
		}
		p.Log.Debug("write session", "session", name, "try", try, "error", err)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(time.Duration(try+1) * 20 * time.Millisecond):
		}
	}
	return false
}

func (p *Presence) write(ctx context.Context, name string) error {
	var s v1alpha1.Session
	if err := p.Reader.Get(ctx, client.ObjectKey{Namespace: p.Namespace, Name: name}, &s); err != nil {
		return client.IgnoreNotFound(err)
	}
	old := s.DeepCopy()
	s.Status.Relays = slices.DeleteFunc(s.Status.Relays, func(r v1alpha1.Relay) bool { return r.Pod == p.Relay.Pod })
	if p.Connected(name) {
		s.Status.Relays = append(s.Status.Relays, p.Relay)
	}
	connected(&s)
	if reflect.DeepEqual(old.Status, s.Status) {
		return nil
	}
	return client.IgnoreNotFound(p.Client.Status().Patch(ctx, &s, client.MergeFromWithOptions(old, client.MergeFromWithOptimisticLock{})))
}
