package controller

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

// hold are the labels by which nobody but the ReplicaSet holds the pod; none
// when there is none such, or the workload does not want a pod more than it has:
// then the old one has to go first.
func (r *Intercepts) hold(ctx context.Context, p *corev1.Pod) (map[string]string, error) {
	owner := metav1.GetControllerOf(p)
	if owner == nil || owner.Kind != "ReplicaSet" {
		return nil, nil
	}
	w, err := r.workloadOf(ctx, p, owner)
	if err != nil {
		return nil, err
	}
	if !w.Surges {
		return nil, nil
	}
	var rs appsv1.ReplicaSet
	if err := r.Live.Get(ctx, client.ObjectKey{Namespace: p.Namespace, Name: owner.Name}, &rs); err != nil {
		return nil, err
	}
	var services corev1.ServiceList
	if err := r.Client.List(ctx, &services, client.InNamespace(p.Namespace)); err != nil {
		return nil, err
	}
	held := map[string]string{}
	for k, v := range rs.Spec.Selector.MatchLabels {
		without := p.DeepCopy()
		delete(without.Labels, k)
		used := slices.ContainsFunc(services.Items, func(s corev1.Service) bool { return leadsTo(&s, p) && !leadsTo(&s, without) })
		if !used && w.Selects(without.Labels) {
			held[k] = v
		}
	}
	return held, nil
}

// leadsTo says that callers of the Service come to the pod.
func leadsTo(s *corev1.Service, p *corev1.Pod) bool {
	return len(s.Spec.Selector) > 0 && labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(p.Labels))
}

// orphan takes labels off a pod, so that its ReplicaSet makes a new one while
// this one serves on.
func (r *Intercepts) orphan(ctx context.Context, why string, w *resolve.Workload, p *corev1.Pod, labels map[string]string) error {
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
	if err := r.Client.Patch(ctx, fresh, client.MergeFromWithOptions(p, client.MergeFromWithOptimisticLock{})); err != nil {
		return err
	}
	r.Log.Info("pod is being replaced", "namespace", p.Namespace, "pod", p.Name)
	r.acted[w.UID] = time.Now()
	return nil
}

// readopt gives a pod to its ReplicaSet again. If there is none any more, the
// pod goes, as far as PodDisruptionBudgets allow; the Janitor goes on.
func (r *Intercepts) readopt(ctx context.Context, w *resolve.Workload, p *corev1.Pod, how orphan.Mark) error {
	fresh := orphan.Readopted(p, how)
	wanted, err := orphan.HasAdopter(ctx, r.Live, fresh)
	if err != nil {
		return err
	}
	if !wanted {
		_, err := r.evict(ctx, w, p, "removing pod "+p.Name)
		return err
	}
	if err := r.Client.Patch(ctx, fresh, client.MergeFromWithOptions(p, client.MergeFromWithOptimisticLock{})); err != nil {
		return client.IgnoreNotFound(err)
	}
	r.Log.Info("pod stays", "namespace", p.Namespace, "pod", p.Name)
	if w != nil {
		r.acted[w.UID] = time.Now()
	}
	return nil
}

// workloadOf is what a pod's controller belongs to: the Deployment or Rollout of
// a ReplicaSet, else the controller itself.
func (r *Intercepts) workloadOf(ctx context.Context, p *corev1.Pod, owner *metav1.OwnerReference) (*resolve.Workload, error) {
	above := owner
	if owner.Kind == "ReplicaSet" {
		var rs appsv1.ReplicaSet
		if err := r.Live.Get(ctx, client.ObjectKey{Namespace: p.Namespace, Name: owner.Name}, &rs); err != nil {
			return nil, err
		}
		above = cmp.Or(metav1.GetControllerOf(&rs), owner)
	}
	return resolve.Get(ctx, r.Live, p.Namespace, v1alpha1.WorkloadReference{APIVersion: above.APIVersion, Kind: above.Kind, Name: above.Name})
}
