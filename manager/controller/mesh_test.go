package controller

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/mesh"
)

const meshLayout = `{"uid":65431,"ports":[{"name":"http","number":8080,"protocol":"TCP","agent":9900,"mesh":true},` +
	`{"number":9090,"protocol":"TCP","agent":9901,"mesh":true}],"onDemand":true}`

// istio is a cluster that serves Sidecar.
func istio(objects ...client.Object) client.Client {
	gvk := schema.GroupVersionKind{Group: "networking.istio.io", Version: "v1", Kind: "Sidecar"}
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(gvk, meta.RESTScopeNamespace)
	return fake.NewClientBuilder().WithScheme(runtime.NewScheme()).WithRESTMapper(mapper).WithObjects(objects...).Build()
}

// sends is where the Sidecar of quote sends callers, in a few words.
func sends(t *testing.T, c client.Client) string {
	t.Helper()
	u := &unstructured.Unstructured{}
	u.SetAPIVersion("networking.istio.io/v1")
	u.SetKind("Sidecar")
	err := c.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "intercept-quote"}, u)
	if client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	if err != nil {
		return "none"
	}
	var words []string
	list, _, _ := unstructured.NestedSlice(u.Object, "spec", "ingress")
	for _, i := range list {
		in := i.(map[string]any)
		words = append(words, fmt.Sprintf("%v to %v", in["port"].(map[string]any)["number"], in["defaultEndpoint"]))
	}
	for _, o := range u.GetOwnerReferences() {
		words = append(words, "for "+o.Name)
	}
	return strings.Join(words, ", ")
}

// TestMeshApplies has two people with a port each of pods whose agents wait for the
// mesh: the object is for both, then for the one that is left, then gone.
func TestMeshApplies(t *testing.T) {
	alice, bob := intercept("alice", time.Now()), intercept("bob", time.Now())
	alice.Status = v1alpha1.InterceptStatus{Injection: v1alpha1.InjectSidecar, Ports: []v1alpha1.ResolvedPort{{ContainerPort: 8080, Protocol: "TCP"}}}
	bob.Status = v1alpha1.InterceptStatus{Injection: v1alpha1.InjectSidecar, Ports: []v1alpha1.ResolvedPort{{ContainerPort: 9090, Protocol: "TCP"}}}
	w := newWorld(t, interceptor.Funcs{}, alice, bob)
	c := istio()
	w.ics.Mesh.Keeper = &mesh.Keeper{Client: c, Namespace: system, Log: slog.New(slog.DiscardHandler)}
	quote, err := resolve.Get(t.Context(), w, "shop", alice.Spec.Workload)
	w.Must(err)
	pods, err := quote.Pods(t.Context(), w)
	w.Must(err)
	expect := func(want string, pods []corev1.Pod) {
		t.Helper()
		p, err := w.ics.Mesh.apply(context.Background(), quote, pods)
		w.Must(err)
		if p != nil {
			t.Error(p.Message)
		}
		if got := sends(t, c); got != want {
			t.Errorf("it sends %s; want %s", got, want)
		}
	}
	expect("none", pods) // no pod has a sidecar
	pods[0].Annotations = map[string]string{sidecar.Annotation: meshLayout}
	pods[0].Spec.Containers = append(pods[0].Spec.Containers, corev1.Container{Name: sidecar.Container})
	expect("8080 to 127.0.0.1:9900, 9090 to 127.0.0.1:9901, for quote-alice, for quote-bob", pods)
	w.Must(w.Delete(t.Context(), alice))
	expect("9090 to 127.0.0.1:9901, for quote-bob", pods)
	bob.Status.Injection = v1alpha1.InjectEphemeral
	w.Must(w.Status().Update(t.Context(), bob))
	expect("none", pods)
}

// TestMeshRefuses has a Sidecar of the user's in the way, and no Istio at all.
func TestMeshRefuses(t *testing.T) {
	theirs := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "networking.istio.io/v1", "kind": "Sidecar",
		"metadata": map[string]any{"namespace": "shop", "name": "egress-config"},
		"spec":     map[string]any{"workloadSelector": map[string]any{"labels": map[string]any{"app": "quote"}}}}}
	for name, tt := range map[string]struct {
		cluster      client.Client
		reason, says string
	}{
		"conflict": {istio(theirs), v1alpha1.ReasonSidecarConflict, "existing sidecar egress-config conflicts with new sidecar for workload quote: name the port"},
		"no istio": {fake.NewClientBuilder().WithScheme(runtime.NewScheme()).Build(), v1alpha1.ReasonNotSupported, "serves no networking.istio.io Sidecar"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, interceptor.Funcs{}, intercept("alice", time.Now()))
			w.ics.Mesh.Keeper = &mesh.Keeper{Client: tt.cluster, Namespace: system, Log: slog.New(slog.DiscardHandler)}
			quote, err := resolve.Get(t.Context(), w, "shop", intercept("alice", time.Now()).Spec.Workload)
			w.Must(err)
			injected := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{mesh.PodLabel: mesh.PodLabelValue}}}
			p, err := w.ics.Mesh.obstacle(t.Context(), quote, injected)
			w.Must(err)
			if p == nil || p.Reason != tt.reason || !strings.Contains(p.Message, tt.says) {
				t.Errorf("got %+v", p)
			}
			if p, err := w.ics.Mesh.obstacle(t.Context(), quote, &corev1.Pod{}); p != nil || err != nil {
				t.Errorf("a pod that needs none is refused: %+v, %v", p, err)
			}
		})
	}
}
