package resolve

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/orphan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// shop is a namespace in which everything has the label app: shop, so that
// labels tell nothing: two Deployments, a DaemonSet, a Job and a bare pod.
func shop() []client.Object {
	labels := map[string]string{"app": "shop"}
	meta := func(name string, owner *metav1.OwnerReference, more ...string) metav1.ObjectMeta {
		m := metav1.ObjectMeta{Namespace: "shop", Name: name, UID: uid(name), Labels: map[string]string{"app": "shop"}}
		if owner != nil {
			m.OwnerReferences = []metav1.OwnerReference{*owner}
		}
		for i := 0; i < len(more); i += 2 {
			m.Labels[more[i]] = more[i+1]
		}
		return m
	}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}}
	all := &metav1.LabelSelector{MatchLabels: labels}
	objects := []client.Object{
		&appsv1.DaemonSet{ObjectMeta: meta("daemon", nil), Spec: appsv1.DaemonSetSpec{Selector: all, Template: template}},
		&batchv1.Job{ObjectMeta: meta("job", nil), Spec: batchv1.JobSpec{Selector: all, Template: template}},
		&corev1.Pod{ObjectMeta: meta("daemon-1", by("DaemonSet", "daemon"))},
		&corev1.Pod{ObjectMeta: meta("job-1", by("Job", "job"))},
		&corev1.Pod{ObjectMeta: meta("bare", nil)},
		&corev1.Service{ObjectMeta: meta("shop", nil), Spec: corev1.ServiceSpec{Selector: labels}},
	}
	for _, name := range []string{"shop", "shop-worker"} {
		objects = append(objects,
			&appsv1.Deployment{ObjectMeta: meta(name, nil), Spec: appsv1.DeploymentSpec{Selector: all, Template: template}},
			&appsv1.ReplicaSet{ObjectMeta: meta(name+"-1", by("Deployment", name), "pod-template-hash", "1"),
				Spec: appsv1.ReplicaSetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "shop", "pod-template-hash": "1", "of": name}}}},
			&corev1.Pod{ObjectMeta: meta(name+"-1-a", by("ReplicaSet", name+"-1"), "pod-template-hash", "1", "of", name)})
	}
	return objects
}

func uid(name string) types.UID { return types.UID("uid of " + name) }

func by(kind, name string) *metav1.OwnerReference {
	yes := true
	return &metav1.OwnerReference{APIVersion: "apps/v1", Kind: kind, Name: name, UID: uid(name), Controller: &yes}
}

// orphaned is a pod that was taken from the ReplicaSet of shop.
func orphaned(drained bool) *corev1.Pod {
	text := `{"labels":{"pod-template-hash":"1"},"at":"2026-01-01T00:00:00Z","owner":{"kind":"ReplicaSet","name":"shop-1","uid":"uid of shop-1"}`
	if drained {
		text += `,"drained":"2026-01-01T00:00:01Z"`
	}
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "released", UID: "r",
		Labels: map[string]string{"app": "shop", orphan.Label: "i"}, Annotations: map[string]string{orphan.Annotation: text + "}"}}}
}

// TestPodsByOwner: the pods of a workload are those that it owns, however labels
// are shared; a Service has all that it selects.
func TestPodsByOwner(t *testing.T) {
	ref := func(kind, name string) v1alpha1.WorkloadReference {
		return v1alpha1.WorkloadReference{APIVersion: "apps/v1", Kind: kind, Name: name}
	}
	adopted := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orphan", UID: "o",
		Labels: map[string]string{"app": "shop", "pod-template-hash": "1", "of": "shop"}}}
	for name, tt := range map[string]struct {
		ref       v1alpha1.WorkloadReference
		more      []client.Object
		forbidden bool // to list ReplicaSets
		want      []string
	}{
		"Deployment":                     {ref: ref("Deployment", "shop"), want: []string{"shop-1-a"}},
		"the other Deployment":           {ref: ref("Deployment", "shop-worker"), want: []string{"shop-worker-1-a"}},
		"ReplicaSet":                     {ref: ref("ReplicaSet", "shop-1"), want: []string{"shop-1-a"}},
		"DaemonSet":                      {ref: ref("DaemonSet", "daemon"), want: []string{"daemon-1"}},
		"Job":                            {ref: ref("Job", "job"), want: []string{"job-1"}},
		"Pod":                            {ref: ref("Pod", "job-1"), want: []string{"job-1"}},
		"Service":                        {ref: ref("Service", "shop"), want: []string{"bare", "daemon-1", "job-1", "shop-1-a", "shop-worker-1-a"}},
		"ReplicaSets are not to be read": {ref: ref("Deployment", "shop"), forbidden: true, want: []string{"shop-1-a"}},
		"orphan":                         {ref: ref("Deployment", "shop"), more: []client.Object{orphaned(false)}, want: []string{"released", "shop-1-a"}},
		"orphan, the other":              {ref: ref("Deployment", "shop-worker"), more: []client.Object{orphaned(false)}, want: []string{"shop-worker-1-a"}},
		"orphan, out of its Services":    {ref: ref("Deployment", "shop"), more: []client.Object{orphaned(true)}, want: []string{"shop-1-a"}},
		"about to be adopted":            {ref: ref("Deployment", "shop"), more: []client.Object{adopted}, want: []string{"orphan", "shop-1-a"}},
		"about to be another's":          {ref: ref("Deployment", "shop-worker"), more: []client.Object{adopted}, want: []string{"shop-worker-1-a"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := runtime.NewScheme()
			if err := clientgoscheme.AddToScheme(s); err != nil {
				t.Fatal(err)
			}
			c := fake.NewClientBuilder().WithScheme(s).WithObjects(append(shop(), tt.more...)...).WithInterceptorFuncs(interceptor.Funcs{
				List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
					if _, ok := list.(*appsv1.ReplicaSetList); ok && tt.forbidden {
						return apierrors.NewForbidden(schema.GroupResource{Group: "apps", Resource: "replicasets"}, "", nil)
					}
					return c.List(ctx, list, opts...)
				}}).Build()
			w, err := Get(t.Context(), c, "shop", tt.ref)
			if err != nil {
				t.Fatal(err)
			}
			pods, err := w.Pods(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range pods {
				got = append(got, p.Name)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestTrimReplicaSet: old revisions lose their templates, and no pod its workload.
func TestTrimReplicaSet(t *testing.T) {
	none := int32(0)
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"a": "b"}}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}}}
	for name, tt := range map[string]struct {
		owner    *metav1.OwnerReference
		replicas *int32
		trimmed  bool
	}{
		"old":      {by("Deployment", "shop"), &none, true},
		"current":  {by("Deployment", "shop"), nil, false},
		"nobody's": {nil, &none, false},
	} {
		rs := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{{}}}, Spec: appsv1.ReplicaSetSpec{Replicas: tt.replicas, Template: *template.DeepCopy()}}
		if tt.owner != nil {
			rs.OwnerReferences = []metav1.OwnerReference{*tt.owner}
		}
		o, err := TrimReplicaSet(rs)
		if err != nil {
			t.Fatal(err)
		}
		got := o.(*appsv1.ReplicaSet)
		trimmed := len(got.Spec.Template.Spec.Containers) == 0 && got.Spec.Template.Annotations == nil
		if trimmed != tt.trimmed || got.ManagedFields != nil || metav1.GetControllerOf(got) == nil != (tt.owner == nil) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestServiceWithoutPods: whose pods they will be is known, their ports are not.
func TestServiceWithoutPods(t *testing.T) {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "shop"}, Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "shop"}}}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "p", Labels: map[string]string{"app": "shop"}}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}}}
	c := fake.NewClientBuilder().WithObjects(s).Build()
	ref := v1alpha1.WorkloadReference{APIVersion: "v1", Kind: "Service", Name: "shop"}
	w, err := Get(t.Context(), c, "shop", ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.NoPods(); err == nil || err.Error() != "service/shop has no pods: intercept the workload behind it, or start it" {
		t.Errorf("says %v", err)
	}
	if !w.Matches(pod) {
		t.Error("its next pod is not its own")
	}
	if err := c.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if w, err = Get(t.Context(), c, "shop", ref); err != nil || w.NoPods() != nil {
		t.Errorf("with a pod: %v, %v", err, w.NoPods())
	}
}

// TestRolloutOfADeployment: how many pods there are to be is the Rollout's word; the
// Deployment that it refers to is scaled to 0.
func TestRolloutOfADeployment(t *testing.T) {
	none := int32(0)
	for want, spec := range map[int32]map[string]any{
		3: {"replicas": int64(3), "workloadRef": map[string]any{"name": "shop"}},
		1: {"workloadRef": map[string]any{"name": "shop"}},
	} {
		u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
			"metadata": map[string]any{"namespace": "shop", "name": "shop"}, "spec": spec}}
		c := fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithObjects(u, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "shop"},
			Spec: appsv1.DeploymentSpec{Replicas: &none, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "shop"}}}}).Build()
		w, err := Get(t.Context(), c, "shop", v1alpha1.WorkloadReference{APIVersion: "argoproj.io/v1alpha1", Kind: "Rollout", Name: "shop"})
		if err != nil {
			t.Fatal(err)
		}
		if w.Replicas != want {
			t.Errorf("%d replicas, want %d", w.Replicas, want)
		}
	}
}
