package replacement

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/orphan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// removable are the labels that make a pod an orphan when they are taken off: its
// ReplicaSet selects by them, and no Service of this pod does. There are none when
// the pod has no ReplicaSet, or the workload may not have a pod more than it wants:
// then the old pod has to go first.
func (c *Cluster) removable(ctx context.Context, p *corev1.Pod) (map[string]string, error) {
	owner := metav1.GetControllerOf(p)
	if owner == nil || owner.Kind != "ReplicaSet" {
		return nil, nil
	}
	w, err := c.workloadOf(ctx, p, owner)
	if err != nil {
		return nil, err
	}
	if !w.Surges {
		return nil, nil
	}
	var rs appsv1.ReplicaSet
	if err := c.Live.Get(ctx, client.ObjectKey{Namespace: p.Namespace, Name: owner.Name}, &rs); err != nil {
		return nil, err
	}
	var services corev1.ServiceList
	if err := c.Client.List(ctx, &services, client.InNamespace(p.Namespace)); err != nil {
		return nil, err
	}
	found := map[string]string{}
	for k, v := range rs.Spec.Selector.MatchLabels {
		without := p.DeepCopy()
		delete(without.Labels, k)
		used := slices.ContainsFunc(services.Items, func(s corev1.Service) bool { return selects(&s, p) && !selects(&s, without) })
		if !used && w.Selects(without.Labels) {
			found[k] = v
		}
	}
	return found, nil
}

func selects(s *corev1.Service, p *corev1.Pod) bool {
	return len(s.Spec.Selector) > 0 && labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(p.Labels))
}

// orphan takes labels off a pod, so that its ReplicaSet makes a new one while this one
// still serves. Why is the value of orphan.Label.
func (c *Cluster) orphan(ctx context.Context, p *corev1.Pod, last *lastAction, why string, labels map[string]string) error {
	text, err := json.Marshal(orphan.Mark{Labels: labels, At: metav1.Now(), Owner: metav1.GetControllerOf(p)})
	if err != nil {
		return err
	}
	fresh := p.DeepCopy()
	for k := range labels {
		delete(fresh.Labels, k)
	}
	fresh.Labels[orphan.Label] = why
	metav1.SetMetaDataAnnotation(&fresh.ObjectMeta, orphan.Annotation, string(text))
	if err := c.Client.Patch(ctx, fresh, client.MergeFromWithOptions(p, client.MergeFromWithOptimisticLock{})); err != nil {
		return err
	}
	c.Log.Info("pod is being replaced", "namespace", p.Namespace, "pod", p.Name)
	last.acted = time.Now()
	return nil
}

// readopt gives an orphan to its ReplicaSet again. If that is gone the pod is evicted,
// as far as PodDisruptionBudgets allow, and the Janitor tries again.
func (c *Cluster) readopt(ctx context.Context, p *corev1.Pod, last *lastAction, m orphan.Mark) error {
	fresh := orphan.Readopted(p, m)
	adopted, err := orphan.HasAdopter(ctx, c.Live, fresh)
	if err != nil {
		return err
	}
	if !adopted {
		_, err := c.evict(ctx, p, last, removing(p))
		return err
	}
	if err := c.Client.Patch(ctx, fresh, client.MergeFromWithOptions(p, client.MergeFromWithOptimisticLock{})); err != nil {
		return client.IgnoreNotFound(err)
	}
	c.Log.Info("pod stays", "namespace", p.Namespace, "pod", p.Name)
	last.acted = time.Now()
	return nil
}

// workloadOf is what a pod's controller belongs to: the Deployment or Rollout of a
// ReplicaSet, else the controller itself.
func (c *Cluster) workloadOf(ctx context.Context, p *corev1.Pod, owner *metav1.OwnerReference) (*resolve.Workload, error) {
	above := owner
	if owner.Kind == "ReplicaSet" {
		var rs appsv1.ReplicaSet
		if err := c.Live.Get(ctx, client.ObjectKey{Namespace: p.Namespace, Name: owner.Name}, &rs); err != nil {
			return nil, err
		}
		above = cmp.Or(metav1.GetControllerOf(&rs), owner)
	}
	return resolve.Get(ctx, c.Live, p.Namespace, v1alpha1.WorkloadReference{APIVersion: above.APIVersion, Kind: above.Kind, Name: above.Name})
}
