package replacement

import (
	"context"
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/orphan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/problem"
)

// drain takes an orphan whose successor is ready out of its Services, if its eviction
// is allowed. The Janitor evicts the orphan when callers have gone elsewhere.
func (c *Cluster) drain(ctx context.Context, p *corev1.Pod, last *lastAction, m orphan.Mark, doing string) (*problem.Problem, error) {
	if why, err := c.tryEvict(ctx, p, doing); err != nil || why.Reason != v1alpha1.ReasonReplacing {
		return why, err
	}
	m.Drained = ptr.To(metav1.Now())
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	fresh := p.DeepCopy()
	fresh.Labels = map[string]string{orphan.Label: p.Labels[orphan.Label]}
	metav1.SetMetaDataAnnotation(&fresh.ObjectMeta, orphan.Annotation, string(text))
	if err := c.Client.Patch(ctx, fresh, client.MergeFromWithOptions(p, client.MergeFromWithOptimisticLock{})); err != nil {
		return nil, err
	}
	last.acted = time.Now()
	return waiting("%s", doing), nil
}

// orphans are those of an Intercept.
func (c *Cluster) orphans(ctx context.Context, ic *v1alpha1.Intercept) ([]corev1.Pod, error) {
	var list corev1.PodList
	err := c.Client.List(ctx, &list, client.InNamespace(ic.Namespace), client.MatchingLabels{orphan.Label: string(ic.UID)})
	return list.Items, err
}
