package pki

import (
	"context"
	"log/slog"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/publication"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
)

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
	publication.Keep(ctx, p.Log, "the authority is not published: no new session can connect", p.publish)
	return nil
}

func (p *Publisher) publish(ctx context.Context) error {
	_, err := publication.Update(ctx, p.Client, p.Namespace, p.Name, func(cm *corev1.ConfigMap) {
		cm.Data[handshake.AuthorityKey] = string(p.Authority.Bundle())
	})
	return client.IgnoreNotFound(err) // the product has been uninstalled in the meantime
}
