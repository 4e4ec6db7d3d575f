package uninstall

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/orphan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
)

// readopt ends what the traffic-manager has begun with pods: their ReplicaSets adopt
// orphans again. Nobody does it later.
func (o *Options) readopt(ctx context.Context, where *scope) {
	var list corev1.PodList
	if err := o.Client.List(ctx, &list, client.HasLabels{orphan.Label}); err != nil {
		fmt.Fprintf(o.ErrOut, "Warning: cannot tell which pods were being replaced: %v\n", err)
		return
	}
	for i := range list.Items {
		p := &list.Items[i]
		m, ok := orphan.Read(p)
		if !ok || p.DeletionTimestamp != nil || !where.has(p.Namespace) {
			continue
		}
		doing, err := o.restore(ctx, p, m)
		switch {
		case err == nil:
			fmt.Fprintf(o.ErrOut, "%s pod %s/%s, which was being replaced\n", doing, p.Namespace, p.Name)
		case apierrors.IsNotFound(err), apierrors.IsConflict(err): // the traffic-manager was faster
		default:
			fmt.Fprintf(o.ErrOut, "Warning: pod %s/%s was being replaced, and belongs to no ReplicaSet: %v\n", p.Namespace, p.Name, err)
		}
	}
}

// restore gives a pod back, if somebody takes it and callers still come to it;
// else it goes.
func (o *Options) restore(ctx context.Context, p *corev1.Pod, m orphan.Mark) (doing string, err error) {
	fresh := orphan.Readopted(p, m)
	wanted, err := orphan.HasAdopter(ctx, o.Client, fresh)
	switch {
	case err != nil:
		return "", fmt.Errorf("list replicasets: %w", err)
	case wanted && m.Drained == nil:
		delete(fresh.Annotations, sidecar.LeaveAnnotation)
		return "Keeping", o.Client.Patch(ctx, fresh, client.MergeFromWithOptions(p, client.MergeFromWithOptimisticLock{}))
	}
	return "Removing", orphan.Evict(ctx, o.Client, p)
}
