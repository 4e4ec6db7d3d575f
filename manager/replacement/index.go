package replacement

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/orphan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
)

// IndexField is the name of the index of pods by what the Janitor does with them.
const IndexField = "kubectl-intercept.dev/janitor"

// The values of the index.
const (
	orphanValue  = "orphan"
	sidecarValue = "sidecar"
)

// Index lets the Janitor find its few pods among all pods. It must be called before the
// cache starts.
func Index(ctx context.Context, x client.FieldIndexer) error {
	if err := x.IndexField(ctx, &corev1.Pod{}, IndexField, IndexValues); err != nil {
		return fmt.Errorf("index pods: %w", err)
	}
	return nil
}

// IndexValues are a pod's values in the index: whether it is an orphan, and whether an
// Intercept brought its sidecar. A pod that is being deleted has none.
func IndexValues(o client.Object) []string {
	p, ok := o.(*corev1.Pod)
	if !ok || p.DeletionTimestamp != nil {
		return nil
	}
	var list []string
	if p.Labels[orphan.Label] != "" {
		list = append(list, orphanValue)
	}
	if s := sidecar.Of(p); s != nil && s.OnDemand {
		list = append(list, sidecarValue)
	}
	return list
}
