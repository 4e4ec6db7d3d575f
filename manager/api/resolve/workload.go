// Package resolve finds out what an intercept is about: the pods of a
// workload, the Services in front of them and the port on which the
// application listens. Plugin and traffic-manager share it, so that what the
// plugin refuses at once and what the manager reports later is the same.
package resolve

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// Workload is what an intercept needs to know of the object it names.
type Workload struct {
	Ref       v1alpha1.WorkloadReference
	Namespace string
	UID       types.UID
	// Labels, Annotations and Spec are those of its pods: the template's, or the pod's.
	Labels      map[string]string
	Annotations map[string]string
	Spec        corev1.PodSpec
	// Replicas is the number of pods it wants; -1 when it does not say.
	Replicas int32
	// Surges says that it may have a pod more than it wants while one is replaced.
	Surges bool
	// OnDelete says that its update strategy leaves the deletion of pods to people.
	OnDelete bool
	// Ended says that it is a Job that has completed or failed, which makes no more pods.
	Ended bool

	selector labels.Selector
	owners   []owner          // whose pods are the workload's; nil when that is not known
	names    sets.Set[string] // pods by name, when nothing else tells
	podless  bool             // a Service without pods
}

// Get reads the workload. A missing one is the reader's NotFound error.
func Get(ctx context.Context, r client.Reader, namespace string, ref v1alpha1.WorkloadReference) (*Workload, error) {
	w := &Workload{Ref: ref, Namespace: namespace, Replicas: -1}
	key := client.ObjectKey{Namespace: namespace, Name: ref.Name}
	var obj client.Object
	switch ref.Kind {
	case "Deployment":
		obj = &appsv1.Deployment{}
	case "StatefulSet":
		obj = &appsv1.StatefulSet{}
	case "ReplicaSet":
		obj = &appsv1.ReplicaSet{}
	case "DaemonSet":
		obj = &appsv1.DaemonSet{}
	case "Job":
		obj = &batchv1.Job{}
	case "Pod":
		obj = &corev1.Pod{}
	case "Rollout":
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind))
		if err := r.Get(ctx, key, u); err != nil {
			return nil, err
		}
		found, err := w.fromRollout(ctx, r, u)
		if err != nil {
			return nil, err
		}
		return found, found.learn(ctx, r)
	case "Service":
		return w.fromService(ctx, r, key)
	default:
		return nil, fmt.Errorf("kind %q cannot be intercepted: use a Deployment, StatefulSet, DaemonSet, ReplicaSet, Rollout, Job, Pod or Service", ref.Kind)
	}
	if err := r.Get(ctx, key, obj); err != nil {
		return nil, err
	}
	found, err := From(obj)
	if err != nil {
		return nil, err
	}
	found.Ref, found.Namespace = ref, namespace // as asked for
	return found, found.learn(ctx, r)
}

// learn reads which ReplicaSets are the workload's. Whoever may not list them goes
// by their names.
func (w *Workload) learn(ctx context.Context, r client.Reader) error {
	if !w.byReplicaSets() {
		return nil
	}
	var list appsv1.ReplicaSetList
	err := r.List(ctx, &list, client.InNamespace(w.Namespace), client.MatchingLabelsSelector{Selector: w.selector}, client.UnsafeDisableDeepCopy)
	switch {
	case apierrors.IsForbidden(err):
		return nil
	case err != nil:
		return fmt.Errorf("list the replicasets of %s: %w", w, err)
	}
	w.Learn(list.Items)
	return nil
}

func (w *Workload) fromTemplate(uid types.UID, sel *metav1.LabelSelector, t *corev1.PodTemplateSpec, replicas *int32) (*Workload, error) {
	s, err := metav1.LabelSelectorAsSelector(sel)
	if err != nil {
		return nil, fmt.Errorf("selector of %s: %w", w, err)
	}
	w.UID, w.Labels, w.Annotations, w.Spec, w.selector, w.Replicas = uid, t.Labels, t.Annotations, t.Spec, s, 1
	if !w.byReplicaSets() {
		w.owners = []owner{{uid: uid}}
	}
	if replicas != nil {
		w.Replicas = *replicas
	}
	return w, nil
}

// FromRollout is From for an Argo Rollout, whose spec has a Deployment's shape, or
// refers to a Deployment, which is read.
func FromRollout(ctx context.Context, r client.Reader, u *unstructured.Unstructured) (*Workload, error) {
	w := &Workload{Ref: v1alpha1.WorkloadReference{APIVersion: u.GetAPIVersion(), Kind: u.GetKind(), Name: u.GetName()}, Namespace: u.GetNamespace(), Replicas: -1}
	return w.fromRollout(ctx, r, u)
}

func (w *Workload) fromRollout(ctx context.Context, r client.Reader, u *unstructured.Unstructured) (*Workload, error) {
	if name, ok, _ := unstructured.NestedString(u.Object, "spec", "workloadRef", "name"); ok {
		var d appsv1.Deployment
		if err := r.Get(ctx, client.ObjectKey{Namespace: w.Namespace, Name: name}, &d); err != nil {
			return nil, err
		}
		w.Surges = rolloutSurges(u)
		var replicas *int32 // the Deployment is scaled to 0 once the Rollout has its pods
		if n, ok, _ := unstructured.NestedInt64(u.Object, "spec", "replicas"); ok {
			replicas = ptr.To(int32(n))
		}
		return w.fromTemplate(u.GetUID(), d.Spec.Selector, &d.Spec.Template, replicas)
	}
	var shape struct {
		Spec appsv1.DeploymentSpec `json:"spec"`
	}
	part := map[string]any{"spec": map[string]any{}}
	if spec, ok := u.Object["spec"].(map[string]any); ok {
		for _, k := range []string{"selector", "template", "replicas"} {
			if v, ok := spec[k]; ok {
				part["spec"].(map[string]any)[k] = v
			}
		}
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(part, &shape); err != nil {
		return nil, fmt.Errorf("read %s: %w", w, err)
	}
	w.Surges = rolloutSurges(u)
	return w.fromTemplate(u.GetUID(), shape.Spec.Selector, &shape.Spec.Template, shape.Spec.Replicas)
}

// fromService takes the pods a Service selects or, without a selector, those
// its EndpointSlices point at. While it has none it is known whose pods they will
// be, and nothing of what is in them: see NoPods.
func (w *Workload) fromService(ctx context.Context, r client.Reader, key client.ObjectKey) (*Workload, error) {
	var s corev1.Service
	if err := r.Get(ctx, key, &s); err != nil {
		return nil, err
	}
	w.UID = s.UID
	if len(s.Spec.Selector) > 0 {
		w.selector = labels.SelectorFromSet(s.Spec.Selector)
	} else {
		var slices discoveryv1.EndpointSliceList
		if err := r.List(ctx, &slices, client.InNamespace(key.Namespace),
			client.MatchingLabels{discoveryv1.LabelServiceName: key.Name}); err != nil {
			return nil, err
		}
		w.names = sets.New[string]()
		for _, slice := range slices.Items {
			for _, e := range slice.Endpoints {
				if e.TargetRef != nil && e.TargetRef.Kind == "Pod" {
					w.names.Insert(e.TargetRef.Name)
				}
			}
		}
	}
	pods, err := w.Pods(ctx, r)
	if err != nil {
		return nil, err
	}
	w.podless = len(pods) == 0
	// Pods of several owners may differ: the one that has most of the Service's
	// ports stands for them.
	most := -1
	for i := range pods {
		spec := sidecar.Application(&pods[i])
		has := 0
		for _, sp := range s.Spec.Ports {
			if servicePort(spec, &s, sp).ContainerPort != 0 {
				has++
			}
		}
		if has > most {
			most, w.Labels, w.Annotations, w.Spec = has, pods[i].Labels, pods[i].Annotations, *spec
		}
	}
	return w, nil
}

// NoPods says that the workload is a Service that has no pods now, so that its ports
// cannot be known; nil when they can.
func (w *Workload) NoPods() error {
	if !w.podless {
		return nil
	}
	return fmt.Errorf("%s has no pods: intercept the workload behind it, or start it", w)
}

// SelectorLabels are the labels that the selector asks for, as far as it asks
// for one value each.
func (w *Workload) SelectorLabels() map[string]string {
	out := map[string]string{}
	if w.selector == nil {
		return out
	}
	all, _ := w.selector.Requirements()
	for _, q := range all {
		if v, ok := w.selector.RequiresExactMatch(q.Key()); ok {
			out[q.Key()] = v
		}
	}
	return out
}

// Pods lists the workload's pods that are neither finished nor going away.
func (w *Workload) Pods(ctx context.Context, r client.Reader) ([]corev1.Pod, error) {
	opts := []client.ListOption{client.InNamespace(w.Namespace)}
	if w.selector != nil {
		opts = append(opts, client.MatchingLabelsSelector{Selector: w.selector})
	}
	var list corev1.PodList
	if err := r.List(ctx, &list, opts...); err != nil {
		return nil, err
	}
	var pods []corev1.Pod
	for _, p := range list.Items {
		if Lives(&p) && w.Matches(&p) {
			pods = append(pods, p)
		}
	}
	return pods, nil
}

// Lives says that a pod is neither finished nor going away.
func Lives(p *corev1.Pod) bool {
	return p.DeletionTimestamp == nil && p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed
}

// String is "deployment/quote".
func (w *Workload) String() string { return RefString(w.Ref) }
