package target

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve/resolvetest"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

func named(name, app string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID("uid of " + name), Labels: map[string]string{"app": app}}
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

// pod is one that the ReplicaSet owner has.
func pod(name, app, owner string) client.Object {
	p := &corev1.Pod{ObjectMeta: named(name, app)}
	if owner != "" {
		p.OwnerReferences = resolvetest.Owned("ReplicaSet", owner)
	}
	return p
}

// replicaSet is one that a Deployment or Rollout has.
func replicaSet(name, app, kind, owner string) client.Object {
	rs := &appsv1.ReplicaSet{ObjectMeta: named(name, app)}
	rs.OwnerReferences = resolvetest.Owned(kind, owner)
	rs.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": app, "hash": name}}
	return rs
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
		"metadata": map[string]any{"name": name, "namespace": "default", "uid": "uid of " + name},
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
		"one deployment": {[]client.Object{service("web", "a"), deployment("quote", "a"), replicaSet("quote-0", "a", "Deployment", "quote"), pod("quote-1", "a", "quote-0")},
			"deployment/quote web", ""},
		"asleep":    {[]client.Object{service("web", "a"), deployment("quote", "a")}, "deployment/quote web", ""},
		"a rollout": {[]client.Object{service("web", "a"), rollout("quote", "a"), replicaSet("quote-0", "a", "Rollout", "quote"), pod("quote-1", "a", "quote-0")}, "rollout/quote web", ""},
		"another's pod with the labels": {[]client.Object{service("web", "a"), deployment("quote", "a"), replicaSet("quote-0", "a", "Deployment", "quote"),
			pod("quote-1", "a", "quote-0"), pod("worker-1", "a", "worker-0")}, "service/web ", ""},
		"a bare pod":  {[]client.Object{service("web", "a"), pod("tool", "a", "")}, "pod/tool web", ""},
		"two owners":  {[]client.Object{service("web", "a"), deployment("quote", "a"), statefulSet("store", "a"), replicaSet("quote-0", "a", "Deployment", "quote"), pod("quote-1", "a", "quote-0")}, "service/web ", ""},
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

// TestFindAll: a Service with pods stays one, also if they are those of one workload.
func TestFindAll(t *testing.T) {
	scheme, err := kube.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	awake := []client.Object{service("web", "a"), deployment("quote", "a"), replicaSet("quote-0", "a", "Deployment", "quote"), pod("quote-1", "a", "quote-0")}
	for name, test := range map[string]struct {
		objects   []client.Object
		arg, want string
	}{
		"awake":      {awake, "svc/web", "service/web "},
		"asleep":     {awake[:2], "svc/web", "deployment/quote web"},
		"a workload": {awake, "deploy/quote", "deployment/quote "},
	} {
		ref, err := Parse(test.arg)
		if err != nil {
			t.Fatal(err)
		}
		w, svc, err := FindAll(t.Context(), fake.NewClientBuilder().WithScheme(scheme).WithObjects(test.objects...).Build(), "default", ref)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := w.String() + " " + svc; got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

// TestWorkloads: what another nameable object controls is left out, and what an
// unknown one does stands for itself; Jobs that are over are no workloads.
func TestWorkloads(t *testing.T) {
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "a"}}}
	all := &metav1.LabelSelector{MatchLabels: template.Labels}
	job := func(name string, c batchv1.JobConditionType) client.Object {
		j := &batchv1.Job{ObjectMeta: named(name, "a"), Spec: batchv1.JobSpec{Selector: all, Template: template}}
		if c != "" {
			j.Status.Conditions = []batchv1.JobCondition{{Type: c, Status: corev1.ConditionTrue}}
		}
		return j
	}
	owned := func(o client.Object, kind, name string) client.Object {
		o.SetOwnerReferences(resolvetest.Owned(kind, name))
		return o
	}
	ofOperator := deployment("managed", "a")
	objects := []client.Object{deployment("quote", "a"), replicaSet("quote-0", "a", "Deployment", "quote"), pod("quote-1", "a", "quote-0"),
		owned(ofOperator, "Operator", "o"), owned(pod("db-0", "a", ""), "Database", "db"),
		&appsv1.DaemonSet{ObjectMeta: named("daemon", "a"), Spec: appsv1.DaemonSetSpec{Selector: all, Template: template}}, owned(pod("daemon-1", "a", ""), "DaemonSet", "daemon"),
		job("job", ""), owned(pod("job-1", "a", ""), "Job", "job"), owned(job("nightly-1", ""), "CronJob", "nightly"),
		job("done", batchv1.JobComplete), job("failed", batchv1.JobFailed)}
	scheme, err := kube.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	scheme.AddKnownTypeWithName(Rollout().WithKind("RolloutList"), &unstructured.UnstructuredList{})
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
	found, err := Workloads(t.Context(), c, "default")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range found.Workloads {
		got = append(got, w.String())
	}
	want := []string{"daemonset/daemon", "deployment/managed", "deployment/quote", "job/job", "job/nightly-1", "pod/db-0"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if err := c.Create(t.Context(), service("web", "a")); err != nil {
		t.Fatal(err)
	}
	web, err := resolve.Get(t.Context(), c, "default", v1alpha1.WorkloadReference{APIVersion: "v1", Kind: "Service", Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	owners, err := Owners(t.Context(), c, web, found)
	if d := cmp.Diff([]string{"daemonset/daemon", "deployment/quote", "job/job", "pod/db-0"}, owners); d != "" || err != nil {
		t.Error(err, d)
	}
}
