// Package shoptest is a small cluster for tests: a namespace "shop" with a Deployment
// "quote" of one pod behind a Service.
package shoptest

import (
	"context"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/orphan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// Layout is the annotation of a pod with a sidecar that stands in front of port http.
const Layout = `{"uid":65431,"ports":[{"name":"http","number":8080,"protocol":"TCP","agent":9900}],"onDemand":true}`

// Shop is the cluster. Its pod "quote-1" runs and is not ready.
type Shop struct {
	client.WithWatch
	T *testing.T
}

// Scheme knows the types of Kubernetes and ours.
func Scheme(t testing.TB) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// New makes the cluster with an index for the client, and more objects.
func New(t *testing.T, index func(context.Context, client.FieldIndexer) error, funcs interceptor.Funcs, more ...client.Object) *Shop {
	t.Helper()
	labels := map[string]string{"app": "quote"}
	spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "quote", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}}}
	objects := append([]client.Object{
		&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote", UID: "d"},
			Spec: appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels},
				Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}}},
		&appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote-a", UID: "rs", Labels: map[string]string{"app": "quote", "hash": "a"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: "quote", UID: "d", Controller: ptr.To(true)}}},
			Spec: appsv1.ReplicaSetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "quote", "hash": "a"}}}},
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote-1", UID: "p", Labels: map[string]string{"app": "quote", "hash": "a"},
			OwnerReferences: byReplicaSet()}, Spec: spec,
			Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1", PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}}}},
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote"},
			Spec: corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("http")}}}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}},
	}, more...)
	if funcs.SubResourceCreate == nil {
		funcs.SubResourceCreate = heedDryRun
	}
	b := fake.NewClientBuilder().WithScheme(Scheme(t)).WithObjects(objects...).WithInterceptorFuncs(funcs).
		WithStatusSubresource(&v1alpha1.Intercept{}, &v1alpha1.Session{}).
		WithIndex(&corev1.Event{}, "involvedObject.uid", func(o client.Object) []string { return []string{string(o.(*corev1.Event).InvolvedObject.UID)} })
	if err := index(context.Background(), indexer{b}); err != nil {
		t.Fatal(err)
	}
	return &Shop{WithWatch: b.Build(), T: t}
}

func byReplicaSet() []metav1.OwnerReference {
	return []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "quote-a", UID: "rs", Controller: ptr.To(true)}}
}

// indexer gives a fake client the indexes of a cache.
type indexer struct{ *fake.ClientBuilder }

func (x indexer) IndexField(_ context.Context, o client.Object, field string, f client.IndexerFunc) error {
	x.WithIndex(o, field, f)
	return nil
}

// heedDryRun keeps pods that are evicted on a dry run only, which the fake client
// removes.
func heedDryRun(ctx context.Context, c client.Client, resource string, obj, sub client.Object, opts ...client.SubResourceCreateOption) error {
	var o client.SubResourceCreateOptions
	if o.ApplyOptions(opts); len(o.DryRun) > 0 {
		return nil
	}
	return c.SubResource(resource).Create(ctx, obj, sub, opts...)
}

// Intercept is a user's claim on port http of quote, made at a time.
func Intercept(user string, at time.Time) *v1alpha1.Intercept {
	return &v1alpha1.Intercept{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote-" + user, UID: types.UID(user), Generation: 1, CreationTimestamp: metav1.NewTime(at)},
		Spec: v1alpha1.InterceptSpec{User: user, Session: user, Inject: v1alpha1.InjectAuto, Mode: v1alpha1.ModeGlobal,
			Workload: v1alpha1.WorkloadReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "quote"},
			Ports:    []v1alpha1.InterceptPort{{Port: "http", LocalPort: 8080, LocalHost: "127.0.0.1"}}},
	}
}

// Must ends the test on an error.
func (s *Shop) Must(err error) {
	s.T.Helper()
	if err != nil {
		s.T.Fatal(err)
	}
}

// Pod reads a pod.
func (s *Shop) Pod(name string) *corev1.Pod {
	s.T.Helper()
	var p corev1.Pod
	s.Must(s.Get(context.Background(), client.ObjectKey{Namespace: "shop", Name: name}, &p))
	return &p
}

// Ready makes the pod "quote-1" ready.
func (s *Shop) Ready() {
	s.T.Helper()
	p := s.Pod("quote-1")
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	s.Must(s.Status().Update(context.Background(), p))
}

// Deployment changes the Deployment.
func (s *Shop) Deployment(change func(*appsv1.Deployment)) {
	s.T.Helper()
	var d appsv1.Deployment
	s.Must(s.Get(context.Background(), client.ObjectKey{Namespace: "shop", Name: "quote"}, &d))
	change(&d)
	s.Must(s.Update(context.Background(), &d))
}

// Made adds a pod as the ReplicaSet makes it: two seconds from now and with a sidecar,
// unless change changes that.
func (s *Shop) Made(name string, change func(*corev1.Pod)) {
	s.T.Helper()
	var d appsv1.Deployment
	s.Must(s.Get(context.Background(), client.ObjectKey{Namespace: "shop", Name: "quote"}, &d))
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("p" + strings.TrimPrefix(name, "quote-")), Labels: map[string]string{"app": "quote", "hash": "a"},
		Annotations: map[string]string{sidecar.Annotation: Layout}, CreationTimestamp: metav1.NewTime(time.Now().Add(2 * time.Second)),
		OwnerReferences: byReplicaSet()}, Spec: *d.Spec.Template.Spec.DeepCopy()}
	p.Spec.Containers[0].Ports[0].Name = ""
	p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: sidecar.Container, Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 9900}}})
	change(p)
	status := p.Status
	s.Must(s.Create(context.Background(), p))
	p.Status = status
	s.Must(s.Status().Update(context.Background(), p))
}

// Orphan makes the pod "quote-1" an orphan, of long ago. Why is the value of its label.
func (s *Shop) Orphan(why string) {
	s.T.Helper()
	p := s.Pod("quote-1")
	delete(p.Labels, "hash")
	p.Labels[orphan.Label] = why
	p.Annotations = map[string]string{orphan.Annotation: `{"labels":{"hash":"a"},"at":"1999-01-01T00:00:00Z","owner":{"kind":"ReplicaSet","name":"quote-a","uid":"rs"}}`}
	s.Must(s.Update(context.Background(), p))
}

// ComesUp changes a pod to one that runs and is ready.
func ComesUp(p *corev1.Pod) {
	p.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.2", Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
}

// Missed changes a pod to one that the webhook was not asked about, and that is ready.
func Missed(p *corev1.Pod) {
	p.Annotations, p.Spec.Containers = nil, p.Spec.Containers[:1]
	p.Spec.Containers[0].Ports[0].Name = "http"
	ComesUp(p)
}
