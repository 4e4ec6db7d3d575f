package controller

import (
	"context"
	"log/slog"
	"reflect"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// Presence writes this replica into the status of the Sessions that it relays. Every
// replica runs it.
type Presence struct {
	Client client.Client
	// Reader reads from the API server.
	Reader    client.Reader
	Namespace string
	// Relay is this replica.
	Relay v1alpha1.Relay
	// Connected says whether a session has a carrier here.
	Connected func(session string) bool
	// Changes has the name of each session that got its first carrier here, or lost its
	// last one.
	Changes <-chan string
	Log     *slog.Logger
}

// NeedLeaderElection says that every replica does this.
func (p *Presence) NeedLeaderElection() bool { return false }

// presenceEvery is the pause before a status that could not be written is tried again.
const presenceEvery = 10 * time.Second

// Start writes changes until ctx ends. It begins with the Sessions that this replica
// wrote itself into before it was restarted.
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

// rest writes the Sessions that are left, and removes from left those that it could
// write.
func (p *Presence) rest(ctx context.Context, left map[string]bool) {
	for name := range left {
		if p.write(ctx, name) == nil {
			delete(left, name)
		}
	}
}

// own adds the Sessions that name this replica; false when they cannot be listed.
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

// persist writes a session's status; false when several attempts failed.
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
