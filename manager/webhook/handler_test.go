package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve/resolvetest"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/inject"
)

func scheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	if err := v1alpha1.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	return s
}

var labels = map[string]string{"app": "quote"}

// cluster is namespace shop with deployment quote behind a Service, and an
// Intercept of it that goes by a sidecar or not.
func cluster(t *testing.T, injection v1alpha1.InjectMode) client.Client {
	t.Helper()
	ic := &v1alpha1.Intercept{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote"},
		Spec:   v1alpha1.InterceptSpec{Workload: v1alpha1.WorkloadReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "quote"}},
		Status: v1alpha1.InterceptStatus{Injection: injection, Ports: []v1alpha1.ResolvedPort{{Service: "quote", ContainerPort: 8080, ContainerPortName: "http", Protocol: "TCP"}}}}
	deployment, replicas := resolvetest.Quote(labels)
	return fake.NewClientBuilder().WithScheme(scheme(t)).WithObjects(ic,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "blog"}},
		deployment, replicas,
		service("shop"), service("blog")).Build()
}

func service(namespace string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "quote"},
		Spec: corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromString("http")}}}}
}

func pod(namespace string, annotations ...string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "quote-", Labels: labels, Annotations: map[string]string{},
		OwnerReferences: resolvetest.Owned("ReplicaSet", "quote-a")},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "quote", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}}}}
	for i := 0; i < len(annotations); i += 2 {
		p.Annotations[annotations[i]] = annotations[i+1]
	}
	return p
}

func injector(t *testing.T, c client.Client, policy inject.Policy, namespaces ...string) *Injector {
	t.Helper()
	return &Injector{Cache: c, Live: c, Policy: policy, Namespaces: namespaces, Log: slog.New(slog.DiscardHandler),
		Agent: func() inject.Config {
			return inject.Config{Image: "agent", ServerName: "traffic-manager.intercept-system.svc"}
		}}
}

func TestWhichPods(t *testing.T) {
	const key, legacy = "kubectl-intercept.dev/inject", "telepresence.getambassador.io/inject-traffic-agent"
	other := pod("shop") // with the same labels
	other.OwnerReferences = resolvetest.Owned("ReplicaSet", "quote-worker-a")
	host := pod("shop", key, "enabled")
	host.Spec.HostNetwork = true
	for _, tt := range []struct {
		name      string
		pod       *corev1.Pod
		injection v1alpha1.InjectMode
		policy    inject.Policy
		managed   []string
		injected  bool
		warning   string
	}{
		{name: "intercepted by a sidecar", pod: pod("shop"), injection: "sidecar", policy: inject.OnDemand, injected: true},
		{name: "intercepted otherwise", pod: pod("shop"), injection: "ephemeral", policy: inject.OnDemand},
		{name: "not decided yet", pod: pod("shop"), policy: inject.OnDemand},
		{name: "another pod", pod: other, injection: "sidecar", policy: inject.OnDemand},
		{name: "another namespace", pod: pod("blog"), injection: "sidecar", policy: inject.OnDemand},
		{name: "intercepted, not annotated", pod: pod("shop"), injection: "sidecar", policy: inject.WhenEnabled},
		{name: "annotated", pod: pod("blog", key, "enabled"), policy: inject.WhenEnabled, injected: true},
		{name: "annotated as before", pod: pod("blog", legacy, "enabled"), policy: inject.OnDemand, injected: true},
		{name: "disabled", pod: pod("shop", key, "disabled"), injection: "sidecar", policy: inject.OnDemand},
		{name: "misspelled", pod: pod("shop", key, "on"), injection: "sidecar", policy: inject.OnDemand, warning: `annotation kubectl-intercept.dev/inject is "on": use enabled or disabled`},
		{name: "not managed", pod: pod("blog", key, "enabled"), policy: inject.OnDemand, managed: []string{"shop"}},
		{name: "host network", pod: host, policy: inject.OnDemand, warning: "no traffic-agent is injected: its pods use the network of their node"},
		{name: "no service", pod: func() *corev1.Pod {
			p := pod("blog", key, "enabled")
			p.Labels, p.Spec.Containers[0].Ports = nil, nil
			return p
		}(), policy: inject.OnDemand,
			warning: "no traffic-agent is injected: no Service port that it could stand in front of leads to the pod"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, warning := injector(t, cluster(t, tt.injection), tt.policy, tt.managed...).Pod(context.Background(), tt.pod)
			if (out != nil) != tt.injected || warning != tt.warning {
				t.Errorf("injected %t, warning %q", out != nil, warning)
			}
		})
	}
}

// A pod of a rollout may be made before the cache knows of its ReplicaSet.
func TestNewReplicaSet(t *testing.T) {
	live := cluster(t, v1alpha1.InjectSidecar)
	j := injector(t, live, inject.OnDemand)
	j.Cache = interceptor.NewClient(live.(client.WithWatch), interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if _, ok := list.(*appsv1.ReplicaSetList); ok {
				return nil
			}
			return c.List(ctx, list, opts...)
		}})
	if out, warning := j.Pod(t.Context(), pod("shop")); out == nil || warning != "" {
		t.Errorf("the pod stays without an agent: %s", warning)
	}
}

// TestSuccessors: what is made in place of the last pod of a Service, or of the very
// pod that is intercepted, gets the sidecar for which that went.
func TestSuccessors(t *testing.T) {
	for name, tt := range map[string]struct {
		ref      v1alpha1.WorkloadReference
		injected bool
	}{
		"the Service": {v1alpha1.WorkloadReference{APIVersion: "v1", Kind: "Service", Name: "quote"}, true},
		"the pod":     {v1alpha1.WorkloadReference{APIVersion: "v1", Kind: "Pod", Name: "quote-0"}, true},
		"another pod": {v1alpha1.WorkloadReference{APIVersion: "v1", Kind: "Pod", Name: "quote-1"}, false},
	} {
		c := cluster(t, v1alpha1.InjectSidecar)
		var ic v1alpha1.Intercept
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "quote"}, &ic); err != nil {
			t.Fatal(err)
		}
		ic.Spec.Workload = tt.ref
		if err := c.Update(t.Context(), &ic); err != nil {
			t.Fatal(err)
		}
		p := pod("shop")
		p.Name, p.OwnerReferences = "quote-0", resolvetest.Owned("StatefulSet", "quote")
		if out, warning := injector(t, c, inject.OnDemand).Pod(t.Context(), p); (out != nil) != tt.injected || warning != "" {
			t.Errorf("%s: injected %t, warning %q", name, out != nil, warning)
		}
	}
}

// TestReview speaks as the API server does.
func TestReview(t *testing.T) {
	h := injector(t, cluster(t, v1alpha1.InjectSidecar), inject.OnDemand).Handler(scheme(t))
	review := func(p *corev1.Pod) *admissionv1.AdmissionResponse {
		t.Helper()
		namespace := p.Namespace
		p.Namespace, p.TypeMeta = "", metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
		raw, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		q := admissionv1.AdmissionReview{TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
			Request: &admissionv1.AdmissionRequest{UID: "u", Namespace: namespace, Operation: admissionv1.Create, Object: runtime.RawExtension{Raw: raw}}}
		body, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, Path, bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		var answer admissionv1.AdmissionReview
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%v: %s", err, w.Body)
		}
		return answer.Response
	}
	got := review(pod("shop"))
	if !got.Allowed || got.UID != "u" || !strings.Contains(string(got.Patch), `"traffic-agent"`) || strings.Contains(string(got.Patch), "/metadata/namespace") {
		t.Errorf("patch %s", got.Patch)
	}
	if got := review(pod("blog")); !got.Allowed || len(got.Patch) > 0 {
		t.Errorf("a pod that nobody wants is patched: %s", got.Patch)
	}
	if got := review(pod("blog", "kubectl-intercept.dev/inject", "on")); !got.Allowed || len(got.Patch) > 0 ||
		!slices.ContainsFunc(got.Warnings, func(w string) bool { return strings.Contains(w, "use enabled or disabled") }) {
		t.Errorf("warnings %v, patch %s", got.Warnings, got.Patch)
	}
}

// TestBundle: somebody overwrites the authority, or there is a new one.
func TestBundle(t *testing.T) {
	ctx := context.Background()
	c := fake.NewClientBuilder().WithScheme(scheme(t)).WithObjects(&admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "tm"}, Webhooks: []admissionregistrationv1.MutatingWebhook{{Name: "a"}, {Name: "b"}}}).Build()
	want := "one"
	b := &Bundle{Client: c, Name: "tm", PEM: func() []byte { return []byte(want) }, Log: slog.New(slog.DiscardHandler)}
	for _, want = range []string{"one", "two", "two"} {
		if err := b.Write(ctx); err != nil {
			t.Fatal(err)
		}
		var got admissionregistrationv1.MutatingWebhookConfiguration
		if err := c.Get(ctx, client.ObjectKey{Name: "tm"}, &got); err != nil {
			t.Fatal(err)
		}
		for _, w := range got.Webhooks {
			if string(w.ClientConfig.CABundle) != want {
				t.Errorf("webhook %s has %q, want %q", w.Name, w.ClientConfig.CABundle, want)
			}
		}
	}
	b.Name = "absent"
	if err := b.Write(ctx); err != nil {
		t.Errorf("without a configuration: %v", err)
	}
}
