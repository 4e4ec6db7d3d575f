package controller

import (
	"context"
	"log/slog"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/inject"
	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
	"github.com/kubectl-intercept/kubectl-intercept/manager/webhook"
)

// world is a namespace "shop" with a deployment "quote" of one running pod
// behind a Service, as the reconciler sees it.
type world struct {
	client.WithWatch
	t   *testing.T
	ics *Intercepts
	ses *Sessions
}

const system = "intercept-system"

// clusterNetwork is what Sessions are told.
func clusterNetwork() *v1alpha1.SessionNetwork {
	return &v1alpha1.SessionNetwork{ClusterDomain: "cluster.local", ServiceCIDRs: []string{"10.96.0.0/16"}}
}

func newWorld(t *testing.T, funcs interceptor.Funcs, more ...client.Object) *world {
	t.Helper()
	s := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	if err := v1alpha1.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
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
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "quote-a", UID: "rs", Controller: ptr.To(true)}}}, Spec: spec,
			Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1", PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}}}},
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote"},
			Spec: corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("http")}}}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}},
		session("alice", true, time.Now()), session("bob", true, time.Now()),
	}, more...)
	if funcs.SubResourceCreate == nil {
		funcs.SubResourceCreate = heedDryRun
	}
	c := fake.NewClientBuilder().WithScheme(s).WithObjects(objects...).WithInterceptorFuncs(funcs).
		WithStatusSubresource(&v1alpha1.Intercept{}, &v1alpha1.Session{}).Build()
	authority, err := pki.Load(context.Background(), c, system, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	return &world{WithWatch: c, t: t,
		ics: &Intercepts{Client: c, Live: c, Namespace: system, Authority: authority, Agent: func() inject.Config { return inject.Config{} }, HasWebhook: true, Policy: webhook.OnDemand, Events: events.NewFakeRecorder(100), Log: log},
		ses: &Sessions{Client: c, Namespace: system, Network: clusterNetwork, Log: log}}
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

// session is a user's Session, connected or not since a time.
func session(user string, connected bool, since time.Time) *v1alpha1.Session {
	s := &v1alpha1.Session{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: user}, Spec: v1alpha1.SessionSpec{User: user}}
	status := metav1.ConditionFalse
	if connected {
		status = metav1.ConditionTrue
		s.Status.Relays = []v1alpha1.Relay{{Pod: "traffic-manager-1", Address: "10.0.0.9:17843"}}
	}
	s.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionConnected, Status: status, Reason: "x",
		LastTransitionTime: metav1.NewTime(since)}}
	return s
}

// intercept is a user's claim on port http of quote, made at a time.
func intercept(user string, at time.Time) *v1alpha1.Intercept {
	return &v1alpha1.Intercept{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote-" + user, UID: types.UID(user), Generation: 1, CreationTimestamp: metav1.NewTime(at)},
		Spec: v1alpha1.InterceptSpec{User: user, Session: user, Inject: v1alpha1.InjectAuto, Mode: v1alpha1.ModeGlobal,
			Workload: v1alpha1.WorkloadReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "quote"},
			Ports:    []v1alpha1.InterceptPort{{Port: "http", LocalPort: 8080, LocalHost: "127.0.0.1"}}},
	}
}

// reconcile looks at an intercept once and returns what became of it.
func (w *world) reconcile(user string) *v1alpha1.Intercept {
	w.t.Helper()
	key := types.NamespacedName{Namespace: "shop", Name: "quote-" + user}
	if _, err := w.ics.Reconcile(context.Background(), ctrl.Request{NamespacedName: key}); err != nil {
		w.t.Fatal(err)
	}
	var ic v1alpha1.Intercept
	if err := w.Get(context.Background(), key, &ic); err != nil {
		w.t.Fatal(err)
	}
	return &ic
}

// reports is what agents would have written.
func (w *world) reports(ic *v1alpha1.Intercept, pods ...v1alpha1.PodStatus) {
	w.t.Helper()
	ic.Status.Pods = pods
	if err := w.Status().Update(context.Background(), ic); err != nil {
		w.t.Fatal(err)
	}
}

// agentSays is what the agent of a pod says of port 8080.
func agentSays(pod string, state v1alpha1.PodState) v1alpha1.PodStatus {
	return v1alpha1.PodStatus{Name: pod, State: state, Ports: []v1alpha1.PodPort{{Port: 8080, Protocol: corev1.ProtocolTCP, State: state}}}
}

// connected has a laptop connect, or go away, at a time.
func (w *world) connected(user string, connected bool, since time.Time) {
	w.t.Helper()
	var s v1alpha1.Session
	if err := w.Get(context.Background(), client.ObjectKey{Namespace: system, Name: user}, &s); err != nil {
		w.t.Fatal(err)
	}
	s.Status = session(user, connected, since).Status
	if err := w.Status().Update(context.Background(), &s); err != nil {
		w.t.Fatal(err)
	}
}

func condition(ic *v1alpha1.Intercept, kind string) metav1.Condition {
	if c := meta.FindStatusCondition(ic.Status.Conditions, kind); c != nil {
		return *c
	}
	return metav1.Condition{}
}
