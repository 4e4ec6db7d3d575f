package target

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

func named(name, app string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: "default", Labels: map[string]string{"app": app}}
}

func template(app string) (*metav1.LabelSelector, corev1.PodTemplateSpec) {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}},
		corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": app}}}
}

func deployment(name, app string) client.Object {
	d := &appsv1.Deployment{ObjectMeta: named(name, app)}
	d.Spec.Selector, d.Spec.Template = template(app)
	return d
}

func statefulSet(name, app string) client.Object {
	s := &appsv1.StatefulSet{ObjectMeta: named(name, app)}
	s.Spec.Selector, s.Spec.Template = template(app)
	return s
}

func pod(name, app, owner string) client.Object {
	p := &corev1.Pod{ObjectMeta: named(name, app)}
	if owner != "" {
		yes := true
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: owner, UID: "u", Controller: &yes}}
	}
	return p
}

func service(name, app string) client.Object {
	s := &corev1.Service{ObjectMeta: named(name, app)}
	if app != "" {
		s.Spec.Selector = map[string]string{"app": app}
	}
	return s
}

func rollout(name, app string) client.Object {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
		"metadata": map[string]any{"name": name, "namespace": "default"},
		"spec": map[string]any{
			"selector": map[string]any{"matchLabels": map[string]any{"app": app}},
			"template": map[string]any{"metadata": map[string]any{"labels": map[string]any{"app": app}}},
		}}}
}

func TestFindBehindService(t *testing.T) {
	for name, test := range map[string]struct {
		objects []client.Object
		want    string // workload, and the Service that is remembered
		err     string
	}{
		"one deployment": {[]client.Object{service("web", "a"), deployment("quote", "a"), pod("quote-1", "a", "quote-0")},
			"deployment/quote web", ""},
		"asleep":      {[]client.Object{service("web", "a"), deployment("quote", "a")}, "deployment/quote web", ""},
		"a rollout":   {[]client.Object{service("web", "a"), rollout("quote", "a"), pod("quote-1", "a", "quote-0")}, "rollout/quote web", ""},
		"a bare pod":  {[]client.Object{service("web", "a"), pod("tool", "a", "")}, "pod/tool web", ""},
		"two owners":  {[]client.Object{service("web", "a"), deployment("quote", "a"), statefulSet("store", "a"), pod("quote-1", "a", "quote-0")}, "service/web ", ""},
		"other owner": {[]client.Object{service("web", "a"), pod("daemon-1", "a", "daemon")}, "service/web ", ""},
		"no pods":     {[]client.Object{service("web", "a")}, "", "service/web has no pods: intercept the workload behind it, or start it"},
		"no selector": {[]client.Object{service("web", "")}, "", "service/web has no pods: intercept the workload behind it, or start it"},
		"no service":  {[]client.Object{service("wed", "a")}, "", `service/web not found in namespace "default"; did you mean service/wed?`},
	} {
		t.Run(name, func(t *testing.T) {
			scheme, err := kube.Scheme()
			if err != nil {
				t.Fatal(err)
			}
			scheme.AddKnownTypeWithName(Rollout().WithKind("Rollout"), &unstructured.Unstructured{})
			scheme.AddKnownTypeWithName(Rollout().WithKind("RolloutList"), &unstructured.UnstructuredList{})
			c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(test.objects...).Build()
			ref, err := Parse("svc/web")
			if err != nil {
				t.Fatal(err)
			}
			w, svc, err := Find(t.Context(), c, "default", ref)
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Fatalf("error %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := w.String() + " " + svc; got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
