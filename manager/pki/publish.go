package pki

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
)

// publishEvery is how often the ConfigMap is compared with the authority. GitOps tools may
// replace the ConfigMap, and that removes the certificates.
const publishEvery = 10 * time.Second

// Publisher writes the authority's certificates into the ConfigMap that laptops read, so
// that a session knows the traffic-manager by what the API server says, and not by whoever
// answers. Only the leader runs it.
type Publisher struct {
	Authority *Authority
	// Client reads from the API server, not from a cache.
	Client client.Client
	// Namespace and Name are those of the ConfigMap.
	Namespace, Name string
	Log             *slog.Logger
}

// Start publishes until ctx ends.
func (p *Publisher) Start(ctx context.Context) error {
	tick := time.NewTicker(publishEvery)
	defer tick.Stop()
	for {
		if err := p.publish(ctx); err != nil && ctx.Err() == nil {
			p.Log.Warn("the authority is not published: no new session can connect", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (p *Publisher) publish(ctx context.Context) error {
	var cm corev1.ConfigMap
	err := p.Client.Get(ctx, client.ObjectKey{Namespace: p.Namespace, Name: p.Name}, &cm)
	if apierrors.IsNotFound(err) {
		return nil // the product has been uninstalled in the meantime
	}
	if err != nil {
		return fmt.Errorf("read configmap: %w", err)
	}
	bundle := string(p.Authority.Bundle())
	if cm.Data[handshake.AuthorityKey] == bundle {
		return nil
	}
	old := cm.DeepCopy()
	if cm.Data == nil {
		cm.Data = map[string]string{}
	}
	cm.Data[handshake.AuthorityKey] = bundle
	// The patch changes only this key, because the rest belongs to the chart.
	if err := p.Client.Patch(ctx, &cm, client.MergeFrom(old)); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("write configmap: %w", err)
	}
	return nil
}
