// Package webhook puts agents into pods as they are made, where an Intercept or
// an annotation wants one. It never keeps a pod from being made.
package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/scope"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/inject"
	"github.com/kubectl-intercept/kubectl-intercept/manager/mesh"
)

// Path is where the API server asks.
const Path = "/inject"

// Injector answers the API server.
type Injector struct {
	// Cache may be behind; Live reads from the API server.
	Cache, Live client.Reader
	Policy      inject.Policy
	// Agent is what agents are started with.
	Agent func() inject.Config
	// Namespaces are those that are managed.
	Namespaces scope.Scope
	// Mesh is the mesh of the cluster; Exits are what its proxies are to spare.
	Mesh  mesh.Kind
	Exits mesh.Exits
	// Outcomes counts the answers.
	Outcomes *inject.Metrics
	Log      *slog.Logger
}

// Handler serves admission reviews, and has controller-runtime measure them.
func (j *Injector) Handler(scheme *runtime.Scheme) http.Handler {
	decoder := admission.NewDecoder(scheme)
	hook := &admission.Webhook{Handler: admission.HandlerFunc(func(ctx context.Context, q admission.Request) admission.Response {
		var pod corev1.Pod
		if err := decoder.Decode(q, &pod); err != nil {
			return admission.Errored(http.StatusBadRequest, err)
		}
		pod.Namespace = q.Namespace
		out, warning := j.Pod(ctx, &pod)
		r := admission.Allowed("")
		if out != nil {
			out.Namespace = ""
			text, err := json.Marshal(out)
			if err != nil {
				return admission.Errored(http.StatusInternalServerError, err)
			}
			r = admission.PatchResponseFromRaw(q.Object.Raw, text)
		}
		switch {
		case out != nil:
			j.Outcomes.Count(inject.ByWebhook, inject.Injected)
		case warning == "":
			j.Outcomes.Count(inject.ByWebhook, inject.Skipped)
		default:
			j.Outcomes.Count(inject.ByWebhook, inject.Refused)
		}
		if warning != "" {
			j.Log.Warn("pod stays without an agent", "namespace", q.Namespace, "pod", pod.Name+pod.GenerateName, "reason", warning)
			r = r.WithWarnings("traffic-manager: " + warning)
		}
		return r
	})}
	measured, _ := admission.StandaloneWebhook(hook, admission.StandaloneOptions{MetricsPath: Path}) // it has no error to return
	return measured
}

// Pod returns the pod with an agent; nil when it is to stay as it is, with the
// reason if somebody wanted it otherwise.
func (j *Injector) Pod(ctx context.Context, pod *corev1.Pod) (out *corev1.Pod, warning string) {
	if sidecar.Of(pod) != nil {
		return nil, "" // asked again, because somebody else changed the pod
	}
	if !j.Namespaces.Has(pod.Namespace) {
		return nil, ""
	}
	w, err := resolve.ReadWishes(pod.Annotations)
	if err != nil {
		return nil, err.Error()
	}
	if !j.Policy.Admits(w) {
		return nil, ""
	}
	annotated := w.Inject == resolve.WishEnabled
	q := inject.Request{}
	if q.Intercepted, err = j.intercepted(ctx, pod); err != nil {
		return nil, err.Error()
	}
	if !annotated && len(q.Intercepted) == 0 {
		return nil, ""
	}
	var services corev1.ServiceList
	if err := j.Cache.List(ctx, &services, client.InNamespace(pod.Namespace)); err != nil {
		return nil, fmt.Sprintf("list services: %v", err)
	}
	q.Services = services.Items
	ns, err := Namespace(ctx, j.Live, pod.Namespace)
	if err != nil {
		return nil, err.Error()
	}
	q.Level, q.Mesh = Level(ns), j.Mesh.Redirects(&pod.ObjectMeta, &ns.ObjectMeta)
	out, err = inject.Sidecar(pod, q, j.Agent())
	var refusal inject.Refusal
	switch {
	case errors.As(err, &refusal):
		return nil, "no traffic-agent is injected: " + refusal.Error()
	case errors.Is(err, inject.ErrNothing):
		return nil, "no traffic-agent is injected: no Service port that it could stand in front of leads to the pod"
	case err != nil:
		return nil, err.Error()
	}
	out.Annotations = mesh.MergePodAnnotations(j.Mesh, &out.ObjectMeta, &ns.ObjectMeta, j.Exits)
	j.Log.Info("agent injected", "namespace", pod.Namespace, "pod", pod.Name+pod.GenerateName, "annotation", annotated)
	return out, ""
}

// intercepted are the ports that Intercepts want by a sidecar in the pod. When
// the cache knows of any Intercept the API server is asked, for the cache may
// be behind the one because of which the pod is made.
func (j *Injector) intercepted(ctx context.Context, pod *corev1.Pod) ([]v1alpha1.ResolvedPort, error) {
	var known, list v1alpha1.InterceptList
	if err := j.Cache.List(ctx, &known, client.InNamespace(pod.Namespace)); err != nil {
		return nil, fmt.Errorf("list intercepts: %w", err)
	}
	if len(known.Items) == 0 {
		return nil, nil
	}
	if err := j.Live.List(ctx, &list, client.InNamespace(pod.Namespace)); err != nil {
		return nil, fmt.Errorf("list intercepts: %w", err)
	}
	var ports []v1alpha1.ResolvedPort
	for i := range list.Items {
		ic := &list.Items[i]
		if ic.DeletionTimestamp != nil || ic.Status.Injection != v1alpha1.InjectSidecar {
			continue
		}
		if ref := ic.Spec.Workload; ref.Kind == "Pod" { // the one before it is gone
			if ref.Name == pod.Name {
				ports = append(ports, ic.Status.Ports...)
			}
			continue
		}
		w, err := resolve.Get(ctx, j.Cache, ic.Namespace, ic.Spec.Workload)
		if err == nil && !w.Matches(pod) && w.Selects(pod.Labels) {
			// Its ReplicaSet may be newer than the cache.
			w, err = resolve.Get(ctx, j.Live, ic.Namespace, ic.Spec.Workload)
		}
		if err == nil && w.Matches(pod) {
			ports = append(ports, ic.Status.Ports...)
		}
	}
	return ports, nil
}

// Namespace reads a namespace, which has a say in what pods of it may be.
func Namespace(ctx context.Context, r client.Reader, name string) (*corev1.Namespace, error) {
	var ns corev1.Namespace
	if err := r.Get(ctx, client.ObjectKey{Name: name}, &ns); err != nil {
		return nil, fmt.Errorf("read namespace %s: %w", name, err)
	}
	return &ns, nil
}

// Level is the pod security level that a namespace enforces; empty for none.
func Level(ns *corev1.Namespace) string { return ns.Labels["pod-security.kubernetes.io/enforce"] }
