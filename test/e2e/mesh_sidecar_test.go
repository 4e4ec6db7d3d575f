//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestMeshSidecars injects agents as sidecars behind strict meshes: one that has
// the port's name, and one that an init container leads its number to, from the
// mesh's loopback leg. They reach the traffic-manager because the annotations
// spare it, next to what the user spares.
func TestMeshSidecars(t *testing.T) {
	for kind := range meshes {
		for port, words := range map[string][]string{"named": nil, "numeric": {"$NAMED", "", "$TARGET", "8080"}} {
			t.Run(kind+" "+port, func(t *testing.T) { meshSidecar(t, kind, words) })
		}
	}
}

func meshSidecar(t *testing.T, kind string, words []string) {
	m := inMesh(lab.New(t, clusters), kind, true, words...)
	quote := m.Service("quote", "http")
	m.asked(quote, lab.Application)
	alice := m.Laptop("alice")
	alice.Intercept("add", "deploy/quote", "--inject", "sidecar", "--port", alice.Serve("alice").To("http"))
	m.asked(quote, "alice")
	m.settled()
	pod := m.one("quote")
	if got := pod.Annotations[meshes[kind].skip]; got != "3306,17843" {
		t.Errorf("%s is %q: it is to spare what the user spares and the port for agents, nothing else", meshes[kind].skip, got)
	}
	// The application's own calls to port 443 are still the mesh's, which
	// refuses whom it does not know.
	api := net.JoinHostPort(m.kubernetes(), "443")
	if _, err := m.Inside(pod).Ask(t.Context(), api); err == nil || m.counted("quote")["outRefused"][api] == 0 {
		t.Errorf("a call to %s passed by the mesh (%v): %v", api, err, m.counted("quote"))
	}
	if n := len(pod.Spec.EphemeralContainers); n != 0 {
		t.Errorf("%d ephemeral containers", n)
	}
	before := m.total("quote", "inTLS")
	m.Must(m.ask(quote, "alice"))
	if m.total("quote", "inTLS") != before+1 {
		t.Error("the request did not come through mTLS")
	}
	m.spared()
	alice.Intercept("leave", "quote")
	m.Must(m.ask(quote, lab.Application))
}

// TestInjectorComesBeforeMeshes: the API server asks webhooks in the order of
// their names, and a mesh that was asked before ours would not see what ours
// writes for it.
func TestInjectorComesBeforeMeshes(t *testing.T) {
	l := lab.New(t, clusters)
	var list admissionregistrationv1.MutatingWebhookConfigurationList
	l.Must(l.Client.List(t.Context(), &list))
	if len(list.Items) != 1 {
		t.Fatalf("%d webhook configurations, want one", len(list.Items))
	}
	for _, theirs := range []string{"istio-sidecar-injector", "istio-revision-tag-default", "linkerd-proxy-injector-webhook-config"} {
		if ours := list.Items[0].Name; ours > theirs {
			t.Errorf("%s is asked before %s", theirs, ours)
		}
	}
}

// kubernetes is the address of the API server's Service.
func (m *mesh) kubernetes() string {
	m.Helper()
	var s corev1.Service
	m.Must(m.Client.Get(m.Context(), client.ObjectKey{Namespace: "default", Name: "kubernetes"}, &s))
	return s.Spec.ClusterIP
}

// settled waits until the application has one pod again.
func (m *mesh) settled() {
	m.Helper()
	m.Until("one pod of the application", func() error {
		n := 0
		for _, p := range m.Pods() {
			if p.Labels["app"] == "quote" {
				n++
			}
		}
		if n != 1 {
			return fmt.Errorf("%d pods", n)
		}
		return nil
	})
}

// TestIstioSidecar intercepts a numeric port in Istio: a Sidecar object leads it
// to the agent, and there is no init container of ours.
func TestIstioSidecar(t *testing.T) {
	l := lab.New(t, clusters)
	serveSidecars(l, "v1", "v1beta1", "v1alpha3")
	toldOfIstio(l)
	m := inMesh(l, "istio", true, "$SIDECARS", "v1", "$NAMED", "", "$TARGET", "8080")
	m.mayReadSidecars()
	quote := m.Service("quote", "http")
	m.asked(quote, lab.Application)
	alice := m.Laptop("alice")
	program := alice.Serve("alice")
	add := []string{"add", "deploy/quote", "--inject", "sidecar", "--port", program.To("http")}

	lives := m.Lives()
	theirs := sidecarObject(m.Namespace, "egress-config", map[string]any{
		"workloadSelector": map[string]any{"labels": map[string]any{"app": "quote"}},
		"egress":           []any{map[string]any{"hosts": []any{"istio-system/*"}}},
	})
	m.Must(m.Client.Create(t.Context(), theirs))
	alice.Refused(add, "existing sidecar egress-config conflicts with new sidecar for workload quote", "name the port")
	if now := m.Lives(); now != lives {
		t.Errorf("pods were replaced for nothing:\n%s\nbecame\n%s", lives, now)
	}
	m.Must(m.Client.Delete(t.Context(), theirs))
	alice.Intercept("leave", "--all")

	alice.Intercept(add...)
	m.asked(quote, "alice")
	m.settled()
	pod := m.one("quote")
	if slices.ContainsFunc(pod.Spec.InitContainers, func(c corev1.Container) bool { return c.Name != "mesh-init" }) {
		t.Errorf("there are init containers %v", pod.Spec.InitContainers)
	}
	s, err := m.sidecar("intercept-quote")
	m.Must(err)
	ingress, _, _ := unstructured.NestedSlice(s.Object, "spec", "ingress")
	selector, _, _ := unstructured.NestedStringMap(s.Object, "spec", "workloadSelector", "labels")
	if len(ingress) != 1 || !strings.Contains(fmt.Sprint(ingress), "127.0.0.1:9900") || !strings.Contains(fmt.Sprint(ingress), "number:8080") || selector["app"] != "quote" {
		t.Errorf("the object leads %v of %v", ingress, selector)
	}
	before := m.total("quote", "inTLS")
	m.Must(m.ask(quote, "alice"))
	if m.total("quote", "inTLS") != before+1 {
		t.Error("the request did not come through mTLS")
	}
	m.spared()
	alice.Intercept("leave", "quote")
	if _, err := m.sidecar("intercept-quote"); !apierrors.IsNotFound(err) {
		t.Errorf("the object is still there: %v", err)
	}
	m.Must(m.ask(quote, lab.Application))
}

// TestSidecarVersions has a cluster that serves an old version only, and objects
// that a traffic-manager has left behind.
func TestSidecarVersions(t *testing.T) {
	l := lab.New(t, clusters)
	serveSidecars(l, "v1alpha3")
	orphan := sidecarObject(l.Namespace, "intercept-gone", map[string]any{"ingress": []any{}})
	orphan.SetAPIVersion("networking.istio.io/v1alpha3")
	theirs := orphan.DeepCopy()
	theirs.SetName("intercept-theirs")
	orphan.SetLabels(map[string]string{"app.kubernetes.io/created-by": "traffic-manager", "kubectl-intercept.dev/manager": lab.ManagerNamespace})
	l.Must(l.Client.Create(t.Context(), orphan))
	l.Must(l.Client.Create(t.Context(), theirs))
	toldOfIstio(l)
	l.Until("what nobody wants is removed", func() error {
		err := l.Client.Get(t.Context(), client.ObjectKeyFromObject(orphan), orphan)
		if err == nil {
			err = errors.New("it is there")
		}
		return client.IgnoreNotFound(err)
	})
	l.Must(l.Client.Get(t.Context(), client.ObjectKeyFromObject(theirs), theirs))
}

func sidecarObject(namespace, name string, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": "Sidecar",
		"metadata": map[string]any{"namespace": namespace, "name": name}, "spec": spec,
	}}
}

func (m *mesh) sidecar(name string) (*unstructured.Unstructured, error) {
	u := sidecarObject(m.Namespace, name, nil)
	err := m.Client.Get(m.Context(), client.ObjectKeyFromObject(u), u)
	return u, err
}

// serveSidecars puts Istio's definition of Sidecar into the cluster, with these
// versions served, until the test ends.
func serveSidecars(l *lab.Lab, versions ...string) {
	l.Helper()
	text, err := os.ReadFile(filepath.Join("..", "manifests", "istio-sidecar-crd.yaml"))
	l.Must(err)
	u := &unstructured.Unstructured{}
	l.Must(yaml.Unmarshal(text, &u.Object))
	all, _, _ := unstructured.NestedSlice(u.Object, "spec", "versions")
	for _, v := range all {
		name := v.(map[string]any)["name"].(string)
		v.(map[string]any)["served"] = slices.Contains(versions, name)
	}
	l.Must(unstructured.SetNestedSlice(u.Object, all, "spec", "versions"))
	define(l, u)
}

// toldOfIstio runs the traffic-manager with Istio as its mesh until the test
// ends.
func toldOfIstio(l *lab.Lab) {
	l.Helper()
	tell := func(ctx context.Context, mesh string) {
		l.Must(l.Upgrade(ctx, "--wait", "--set", "trafficManager.serviceMesh.type="+mesh))
	}
	tell(l.Context(), "istio")
	l.Cleanup(func() { tell(context.Background(), "none") })
}

// mayReadSidecars lets the doubles of the namespace read what a control plane
// would tell them.
func (m *mesh) mayReadSidecars() {
	m.Helper()
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: m.Namespace, Name: "mesh"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"networking.istio.io"}, Resources: []string{"sidecars"}, Verbs: []string{"list"}},
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get"}},
	}}
	m.Must(m.Client.Create(m.Context(), role))
	m.Must(m.Client.Create(m.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: m.Namespace, Name: "mesh"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "mesh"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: m.Namespace, Name: "default"}}}))
}
