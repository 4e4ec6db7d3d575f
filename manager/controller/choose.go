package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/orphan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/inject"
	"github.com/kubectl-intercept/kubectl-intercept/manager/webhook"
)

// asAsked is why the agent enters as it does where the spec says so. It does not
// outlast that spec.
const asAsked = "as asked for"

// choose notes in the status how the agent enters the pods. Auto takes a
// sidecar that is there, else begins with an ephemeral container; attach turns
// to a sidecar when that is refused, and that choice stays.
func choose(ic *v1alpha1.Intercept, pods []corev1.Pod) {
	set := func(mode v1alpha1.InjectMode, why string) {
		ic.Status.Injection, ic.Status.InjectionReason = mode, why
	}
	missing := slices.ContainsFunc(pods, func(p corev1.Pod) bool { return !covered(ic, &p) })
	switch {
	case ic.Spec.Inject == v1alpha1.InjectEphemeral:
		set(v1alpha1.InjectEphemeral, asAsked)
	case ic.Spec.Inject == v1alpha1.InjectSidecar:
		set(v1alpha1.InjectSidecar, asAsked)
	case ic.Status.Injection == v1alpha1.InjectSidecar && ic.Status.InjectionReason != asAsked:
	case slices.ContainsFunc(pods, func(p corev1.Pod) bool { return aside(ic, &p) }):
		set(v1alpha1.InjectSidecar, "the pods have one, which has to learn of the Service")
	case len(pods) > 0 && !missing:
		set(v1alpha1.InjectSidecar, "the pods have one already")
	default:
		set(v1alpha1.InjectEphemeral, "the namespace admits it, and no pod has to be replaced")
	}
}

// covered says that a sidecar stands in front of every port of the intercept
// that the pod has.
func covered(ic *v1alpha1.Intercept, p *corev1.Pod) bool {
	s := sidecar.Of(p)
	return s != nil && !slices.ContainsFunc(ic.Status.Ports, func(r v1alpha1.ResolvedPort) bool {
		n := resolve.PortIn(p, r)
		return n != 0 && !sidecar.Leads(s, r, n)
	})
}

// aside says that a sidecar stands in front of a port of the intercept where
// its callers do not come: it was made before their Service, and nothing but
// another pod helps.
func aside(ic *v1alpha1.Intercept, p *corev1.Pod) bool {
	s := sidecar.Of(p)
	return s != nil && slices.ContainsFunc(ic.Status.Ports, func(r v1alpha1.ResolvedPort) bool {
		n := resolve.PortIn(p, r)
		return n != 0 && sidecar.Covers(s, n, r.Protocol) && !sidecar.Leads(s, r, n)
	})
}

// sidecarObstacle says why the workload's pods cannot get a sidecar; nil when
// they can.
func (r *Intercepts) sidecarObstacle(ctx context.Context, ic *v1alpha1.Intercept, w *resolve.Workload, pods []corev1.Pod) (*problem, error) {
	if !r.HasWebhook {
		return &problem{v1alpha1.ReasonInjectionDisabled, "no sidecar can be injected: the traffic-manager was installed with agentInjector.enabled=false"}, nil
	}
	refuse := func(reason, format string, args ...any) (*problem, error) {
		return &problem{reason, fmt.Sprintf("%s cannot have a sidecar: ", w) + fmt.Sprintf(format, args...)}, nil
	}
	for _, p := range pods {
		owner := metav1.GetControllerOf(&p)
		switch {
		case covered(ic, &p) || p.Labels[orphan.Label] != "":
		case owner == nil || !replaceable(owner.Kind):
			return refuse(v1alpha1.ReasonNotSupported, "pod %s belongs to no Deployment, ReplicaSet, StatefulSet, DaemonSet or Rollout that would make it anew, and a running pod cannot get one", p.Name)
		case w.Ref.Kind == "Pod" && owner.Kind != "StatefulSet":
			return refuse(v1alpha1.ReasonNotSupported, "the pod that is made in its place has another name: intercept what it belongs to, %s/%s or the workload above that", strings.ToLower(owner.Kind), owner.Name)
		}
	}
	// Annotations that cannot be read are refused with the others below.
	if wishes, err := resolve.ReadWishes(w.Annotations); err == nil && wishes.Inject != resolve.WishEnabled && r.Policy == webhook.WhenEnabled {
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
	injected, err := inject.Sidecar(template, inject.Request{Services: services.Items, Intercepted: ic.Status.Ports,
		Level: webhook.Level(ns), Mesh: r.byMesh(&template.ObjectMeta, ns)}, r.Agent())
	var refusal inject.Refusal
	if errors.As(err, &refusal) {
		return refuse(v1alpha1.ReasonNotSupported, "%s", refusal.Error())
	}
	if err != nil {
		return nil, nil
	}
	return r.meshObstacle(ctx, w, injected)
}

// replaceable says that a controller of this kind makes a pod that went anew.
func replaceable(kind string) bool {
	return slices.Contains([]string{"ReplicaSet", "StatefulSet", "DaemonSet", "Rollout"}, kind)
}
