package webhook

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// checkInterval is how often the configuration is looked at: somebody may have
// overwritten it, or the authority is a new one.
const checkInterval = 10 * time.Second

// Bundle keeps the authority of the manager's serving certificate in the
// MutatingWebhookConfiguration, where no template can put it. The leader runs
// it.
type Bundle struct {
	// Client reads from and writes to the API server.
	Client client.Client
	// Name of the configuration.
	Name string
	// PEM is the bundle as it should be.
	PEM func() []byte
	Log *slog.Logger
}

// NeedLeaderElection says that one replica does this.
func (b *Bundle) NeedLeaderElection() bool { return true }

// Start keeps the bundle until ctx ends.
func (b *Bundle) Start(ctx context.Context) error {
	tick := time.NewTicker(checkInterval)
	defer tick.Stop()
	for {
		if err := b.Write(ctx); err != nil && ctx.Err() == nil {
			b.Log.Error("pods do not get sidecars", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Write writes the bundle if it is not there. Without a configuration there is
// nothing to do: the chart may have been told not to make one.
func (b *Bundle) Write(ctx context.Context) error {
	var c admissionregistrationv1.MutatingWebhookConfiguration
	if err := b.Client.Get(ctx, client.ObjectKey{Name: b.Name}, &c); err != nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("read mutatingwebhookconfiguration %s: %w", b.Name, err)
	}
	old := c.DeepCopy()
	changed := false
	for i := range c.Webhooks {
		if want := b.PEM(); !bytes.Equal(c.Webhooks[i].ClientConfig.CABundle, want) {
			c.Webhooks[i].ClientConfig.CABundle, changed = want, true
		}
	}
	if !changed {
		return nil
	}
	if err := b.Client.Patch(ctx, &c, client.MergeFromWithOptions(old, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("write authority into mutatingwebhookconfiguration %s: %w", b.Name, err)
	}
	b.Log.Info("authority written", "mutatingwebhookconfiguration", b.Name)
	return nil
}
