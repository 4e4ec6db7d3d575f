package replacement

import (
	"cmp"
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/problem"
)

// evictable are those of the pods that may be evicted. If others have to be deleted
// by hand, as their workload's strategy says, the problem names the first of them.
func (c *Cluster) evictable(ctx context.Context, w *resolve.Workload, bare []*corev1.Pod) ([]*corev1.Pod, *problem.Problem, error) {
	var out []*corev1.Pod
	var byHand *problem.Problem
	bare = slices.SortedFunc(slices.Values(bare), func(a, b *corev1.Pod) int { return cmp.Compare(a.Name, b.Name) }) // the same one each time
	for _, p := range bare {
		o, err := c.strategist(ctx, w, p)
		if err != nil {
			return nil, nil, err
		}
		if o == nil || o.ByHand(p.Name) == "" {
			out = append(out, p)
		} else if byHand == nil {
			byHand = waiting("%s", o.ByHand(p.Name))
		}
	}
	return out, byHand, nil
}

// interruption is what callers miss while a pod that is evicted has no successor.
func (c *Cluster) interruption(ctx context.Context, w *resolve.Workload, p *corev1.Pod) string {
	o, err := c.strategist(ctx, w, p)
	if err != nil || o == nil || o.Interruption() == "" {
		return ""
	}
	return ": " + o.Interruption()
}

// strategist is the StatefulSet or DaemonSet of a pod, whose strategy holds for it;
// nil when the pod has another owner.
func (c *Cluster) strategist(ctx context.Context, w *resolve.Workload, p *corev1.Pod) (*resolve.Workload, error) {
	owner := metav1.GetControllerOf(p)
	if owner == nil || !slices.Contains([]string{"StatefulSet", "DaemonSet"}, owner.Kind) {
		return nil, nil
	}
	if owner.UID == w.UID {
		return w, nil
	}
	o, err := c.workloadOf(ctx, p, owner)
	if err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	return o, nil
}
