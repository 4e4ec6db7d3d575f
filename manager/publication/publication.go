// Package publication keeps what the traffic-manager says of itself in its ConfigMap. The
// rest of the ConfigMap is the chart's.
package publication

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// every is how often the ConfigMap is looked at. GitOps tools may replace it, and that removes
// what the traffic-manager has written.
const every = 10 * time.Second

// Keep calls publish now and then until ctx ends. It logs an error with the message, and not
// again while that stays the same.
func Keep(ctx context.Context, log *slog.Logger, message string, publish func(context.Context) error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	last := ""
	for {
		err := publish(ctx)
		if err != nil && ctx.Err() == nil && err.Error() != last {
			log.Warn(message, "error", err)
		}
		last = ""
		if err != nil {
			last = err.Error()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Update reads the ConfigMap and writes what change has changed in it, if anything. Its Data is
// not nil when change gets it. C reads from the API server, and not from a cache, because the
// traffic-manager does not watch ConfigMaps. Update returns nil if the product has been
// uninstalled in the meantime.
func Update(ctx context.Context, c client.Client, namespace, name string, change func(*corev1.ConfigMap)) (*corev1.ConfigMap, error) {
	var cm corev1.ConfigMap
	if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &cm); err != nil {
		return nil, fmt.Errorf("read configmap: %w", err)
	}
	old := cm.DeepCopy()
	if cm.Data == nil {
		cm.Data = map[string]string{}
	}
	change(&cm)
	if equality.Semantic.DeepEqual(old, &cm) {
		return &cm, nil
	}
	// The patch has what is changed alone.
	err := c.Patch(ctx, &cm, client.MergeFrom(old))
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("write configmap: %w", err)
	}
	return &cm, nil
}
