package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/orphan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/inject"
	"github.com/kubectl-intercept/kubectl-intercept/manager/problem"
	"github.com/kubectl-intercept/kubectl-intercept/manager/replacement"
	"github.com/kubectl-intercept/kubectl-intercept/manager/webhook"
)

// sidecarObstacle says why the workload's pods cannot get a sidecar; nil when they can.
func (r *Intercepts) sidecarObstacle(ctx context.Context, ports []v1alpha1.ResolvedPort, w *resolve.Workload, pods []corev1.Pod) (*problem.Problem, error) {
	if !r.HasWebhook {
		return problem.New(v1alpha1.ReasonInjectionDisabled, "no sidecar can be injected: the traffic-manager was installed with agentInjector.enabled=false"), nil
	}
	refuse := func(reason, format string, args ...any) (*problem.Problem, error) {
		return problem.New(reason, "%s cannot have a sidecar: %s", w, fmt.Sprintf(format, args...)), nil
	}
	for _, p := range pods {
		owner := metav1.GetControllerOf(&p)
		switch {
		case replacement.Covered(ports, &p) || p.Labels[orphan.Label] != "":
		case owner == nil || !replacement.Recreates(owner.Kind):
			return refuse(v1alpha1.ReasonNotSupported, "pod %s belongs to no Deployment, ReplicaSet, StatefulSet, DaemonSet or Rollout that would make it anew, and a running pod cannot get one", p.Name)
		case w.Ref.Kind == "Pod" && owner.Kind != "StatefulSet":
			return refuse(v1alpha1.ReasonNotSupported, "the pod that is made in its place has another name: intercept what it belongs to, %s/%s or the workload above that", strings.ToLower(owner.Kind), owner.Name)
		}
	}
	// Sidecar refuses annotations that cannot be read.
	if wishes, err := resolve.ReadWishes(w.Annotations); err == nil && !r.Policy.Admits(wishes) {
		return refuse(v1alpha1.ReasonInjectionDisabled, "agentInjector.injectPolicy is WhenEnabled: annotate its pod template with kubectl-intercept.dev/inject: enabled")
	}
	ns, err := webhook.Namespace(ctx, r.Live, w.Namespace)
	if err != nil {
		return nil, err
	}
	var services corev1.ServiceList
	if err := r.Client.List(ctx, &services, client.InNamespace(w.Namespace)); err != nil {
		return nil, err
	}
	template := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Labels: w.Labels, Annotations: w.Annotations}, Spec: w.Spec}
	injected, err := inject.Sidecar(template, inject.Request{Services: services.Items, Intercepted: ports,
		Level: webhook.Level(ns), Mesh: r.Mesh.has(&template.ObjectMeta, ns)}, r.Agents.Config())
	var refusal inject.Refusal
	if errors.As(err, &refusal) {
		return refuse(v1alpha1.ReasonNotSupported, "%s", refusal.Error())
	}
	if err != nil {
		return nil, nil
	}
	return r.Mesh.obstacle(ctx, w, injected)
}
