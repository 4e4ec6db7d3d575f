// Package claim keeps two traffic-managers out of one namespace, where each
// would take the other's intercepts apart. The leader writes on its Lease in
// which namespaces it works, and a replica that starts reads the Leases of all
// others first. What Helm refuses is refused here once more, since GitOps and
// plain Helm ask nobody.
package claim

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/scope"
)

const (
	// Lease is the name of the leader's Lease, in the traffic-manager's namespace.
	Lease = "traffic-manager"
	// Annotation of the Lease says where its holder works.
	Annotation = "kubectl-intercept.dev/namespaces"
	// all is the Annotation of a traffic-manager without a list of namespaces.
	all = "*"

	// interval is between two looks at the Leases: of a replica that starts, and of
	// the leader.
	interval, leaderInterval = 2 * time.Second, 10 * time.Second
	// margin is how much later than its Lease says a holder may renew it.
	margin = 2 * time.Second
)

// Claim is what one traffic-manager works in.
type Claim struct {
	// Client must not be a cache.
	Client client.Client
	// Namespace is the traffic-manager's own.
	Namespace string
	// Namespaces are those it works in.
	Namespaces scope.Scope
	Log        *slog.Logger

	seen map[string]metav1.MicroTime // when others had renewed their Leases, by namespace
}

// OverlapError says that another traffic-manager works in the same namespaces.
type OverlapError struct {
	// Namespace is the other's own, Shared are those that both work in.
	Namespace string
	Shared    scope.Scope
}

// Error says what to do.
func (e *OverlapError) Error() string {
	return fmt.Sprintf("the traffic-manager in namespace %s works in %s already, and two would take each other's intercepts apart: "+
		"uninstall one of them, or give both a list \"namespaces\" with no name in common", e.Namespace, e.Shared)
}

// Free returns an OverlapError if another traffic-manager lives that works in one
// of the namespaces. One that holds a Lease and does not renew it is dead; to see
// that takes as long as the Lease says.
func (c *Claim) Free(ctx context.Context) error {
	rivals, err := c.rivals(ctx)
	if err != nil || len(rivals) == 0 {
		return err
	}
	c.note(rivals)
	life := margin
	for _, r := range rivals {
		if s := r.Spec.LeaseDurationSeconds; s != nil {
			life = max(life, time.Duration(*s)*time.Second+margin)
		}
	}
	deadline := time.After(life)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline:
			return nil
		case <-tick.C:
		}
		if rivals, err = c.rivals(ctx); err != nil {
			return err
		}
		if alive := c.alive(rivals); len(alive) > 0 {
			return c.overlap(&alive[0])
		}
	}
}

// NeedLeaderElection says that the leader claims for all replicas.
func (c *Claim) NeedLeaderElection() bool { return true }

// Start claims until ctx ends. Two that started at the same moment have not seen
// each other: the younger one ends with an OverlapError.
func (c *Claim) Start(ctx context.Context) error {
	tick := time.NewTicker(leaderInterval)
	defer tick.Stop()
	for {
		if err := c.check(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// check writes the claim, if it is not written, and reads those of others. It
// returns an error if this traffic-manager has to end.
func (c *Claim) check(ctx context.Context) error {
	own, err := c.write(ctx)
	if err != nil {
		c.Log.Warn("cannot claim the namespaces", "error", err)
		return nil
	}
	rivals, err := c.rivals(ctx)
	if err != nil {
		c.Log.Warn("cannot see where others work", "error", err)
		return nil
	}
	for _, r := range c.alive(rivals) {
		problem := c.overlap(&r)
		if older(&r, own) {
			return problem
		}
		c.Log.Error("another traffic-manager has started here, and has to end", "error", problem)
	}
	c.note(rivals)
	return nil
}

// write sees to the Annotation of the own Lease.
func (c *Claim) write(ctx context.Context) (*coordinationv1.Lease, error) {
	var own coordinationv1.Lease
	if err := c.Client.Get(ctx, client.ObjectKey{Namespace: c.Namespace, Name: Lease}, &own); err != nil {
		return nil, err
	}
	text := all
	if len(c.Namespaces) > 0 {
		text = strings.Join(c.Namespaces, ",")
	}
	if own.Annotations[Annotation] == text {
		return &own, nil
	}
	old := own.DeepCopy()
	metav1.SetMetaDataAnnotation(&own.ObjectMeta, Annotation, text)
	return &own, c.Client.Patch(ctx, &own, client.MergeFrom(old))
}

// rivals are the Leases of others that claim one of the namespaces and are held.
// A Lease without the Annotation claims nothing yet.
func (c *Claim) rivals(ctx context.Context) ([]coordinationv1.Lease, error) {
	var list coordinationv1.LeaseList
	err := c.Client.List(ctx, &list, client.MatchingFields{"metadata.name": Lease})
	if apierrors.IsForbidden(err) { // by RBAC of somebody's own: nothing can be known
		c.Log.Warn("cannot see where other traffic-managers work", "error", err)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the leases of other traffic-managers: %w", err)
	}
	return slices.DeleteFunc(list.Items, func(l coordinationv1.Lease) bool {
		_, overlaps := c.shared(&l)
		return l.Namespace == c.Namespace || l.Spec.HolderIdentity == nil || *l.Spec.HolderIdentity == "" || !overlaps
	}), nil
}

// shared returns the namespaces that a Lease claims, too. It returns false if there is none.
func (c *Claim) shared(l *coordinationv1.Lease) (scope.Scope, bool) {
	switch text := l.Annotations[Annotation]; text {
	case "":
		return nil, false
	case all:
		return c.Namespaces, true
	default:
		return scope.Parse(text).Shared(c.Namespaces)
	}
}

// alive are the Leases that have been renewed since they were noted.
func (c *Claim) alive(rivals []coordinationv1.Lease) []coordinationv1.Lease {
	return slices.DeleteFunc(slices.Clone(rivals), func(l coordinationv1.Lease) bool {
		before, known := c.seen[l.Namespace]
		return !known || l.Spec.RenewTime == nil || l.Spec.RenewTime.Equal(&before)
	})
}

func (c *Claim) note(rivals []coordinationv1.Lease) {
	c.seen = map[string]metav1.MicroTime{}
	for _, l := range rivals {
		c.seen[l.Namespace] = metav1.MicroTime{}
		if l.Spec.RenewTime != nil {
			c.seen[l.Namespace] = *l.Spec.RenewTime
		}
	}
}

func (c *Claim) overlap(l *coordinationv1.Lease) *OverlapError {
	names, _ := c.shared(l)
	return &OverlapError{Namespace: l.Namespace, Shared: names}
}

// older says which of two Leases was made first, the same for both sides.
func older(a, b *coordinationv1.Lease) bool {
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	}
	return a.Namespace < b.Namespace
}
