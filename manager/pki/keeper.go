package pki

import (
	"context"
	"log/slog"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// keepEvery is how often the Secret is read: long before a certificate ends,
// and soon after another replica has made a new authority.
const keepEvery = 10 * time.Minute

// Keeper renews an Authority in time, in every replica.
type Keeper struct {
	Authority *Authority
	Client    client.Client
	Namespace string
	Log       *slog.Logger
}

// NeedLeaderElection says that every replica does this.
func (k *Keeper) NeedLeaderElection() bool { return false }

// Start renews until ctx ends.
func (k *Keeper) Start(ctx context.Context) error {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := k.Authority.Renew(ctx, k.Client, k.Namespace, time.Now()); err != nil && ctx.Err() == nil {
			k.Log.Error("keeping the old authority", "error", err)
		}
	}
}
