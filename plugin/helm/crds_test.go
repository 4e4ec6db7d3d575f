package helm

import (
	"context"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
)

func crd(name, owner, namespace string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion("apiextensions.k8s.io/v1")
	u.SetKind("CustomResourceDefinition")
	u.SetName(name)
	if owner != "" {
		u.SetAnnotations(map[string]string{releaseNameAnnotation: owner, releaseNamespaceAnnotation: namespace})
	}
	return u
}

// cluster has CustomResourceDefinitions and nothing else.
func cluster(crds ...*unstructured.Unstructured) *dynfake.FakeDynamicClient {
	objects := make([]runtime.Object, 0, len(crds))
	for _, c := range crds {
		objects = append(objects, c)
	}
	return dynfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[schema.GroupVersionResource]string{crdResource(): "CustomResourceDefinitionList"}, objects...)
}

func TestClaim(t *testing.T) {
	const name = "intercepts.kubectl-intercept.dev"
	for _, tt := range []struct {
		name  string
		crd   *unstructured.Unstructured
		alive bool
		want  string // the error
		owner string // namespace of the owner afterwards
	}{
		{name: "ours", crd: crd(name, ReleaseName, "team-a"), alive: true, owner: "team-a"},
		{name: "left behind", crd: crd(name, ReleaseName, "old"), owner: "team-a"},
		{name: "used", crd: crd(name, ReleaseName, "old"), alive: true, owner: "old",
			want: "customresourcedefinition intercepts.kubectl-intercept.dev belongs to release traffic-manager in namespace old; " +
				"--set crds.create=false leaves it to that one"},
		{name: "by hand", crd: crd(name, "", ""),
			want: "customresourcedefinition intercepts.kubectl-intercept.dev exists and was not made by Helm; " +
				"--set crds.create=false leaves it as it is, --take-ownership makes it this release's"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dyn := cluster(tt.crd, crd("unrelated.example.com", "other", "other"))
			err := claim(t.Context(), dyn, "team-a", func(_, _ string) (bool, error) { return tt.alive, nil })
			if got := message(err); got != tt.want {
				t.Errorf("error %q, want %q", got, tt.want)
			}
			after, err := dyn.Resource(crdResource()).Get(t.Context(), name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got := after.GetAnnotations()[releaseNamespaceAnnotation]; got != tt.owner {
				t.Errorf("owned by %q, want %q", got, tt.owner)
			}
		})
	}
}

func TestDeleteCRDs(t *testing.T) {
	dyn := cluster(crd("intercepts.kubectl-intercept.dev", ReleaseName, "old"), crd("sessions.kubectl-intercept.dev", "", ""),
		crd("unrelated.example.com", "other", "other"))
	names, err := deleteCRDs(t.Context(), dyn)
	if err != nil || strings.Join(names, " ") != "intercepts.kubectl-intercept.dev sessions.kubectl-intercept.dev" {
		t.Errorf("%v, %q", err, names)
	}
	left, err := dyn.Resource(crdResource()).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(left.Items) != 1 || left.Items[0].GetName() != "unrelated.example.com" {
		t.Errorf("%v, left %v", err, left)
	}
}

// Definitions that are kept are named.
func TestDeleteCRDsStuck(t *testing.T) {
	dyn := cluster(crd("intercepts.kubectl-intercept.dev", ReleaseName, "old"))
	dyn.PrependReactor("delete", "*", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, nil })
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := deleteCRDs(ctx, dyn)
	want := "customresourcedefinition intercepts.kubectl-intercept.dev is still there: some of its objects are kept by a finalizer; " +
		"kubectl describe customresourcedefinition intercepts.kubectl-intercept.dev says which"
	if message(err) != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestWantsCRDs(t *testing.T) {
	off := map[string]any{"crds": map[string]any{"create": false}}
	on := map[string]any{"crds": map[string]any{"create": true}}
	for _, tt := range []struct {
		name         string
		now, earlier map[string]any
		reuse        Reuse
		want         bool
	}{
		{name: "default", want: true},
		{name: "off", now: off},
		{name: "inherited", earlier: off, reuse: ReuseOverReset},
		{name: "reset", earlier: off, reuse: ReuseNone, want: true},
		{name: "on again", now: on, earlier: off, reuse: ReuseOverReset, want: true},
	} {
		o := options(t, tt.now)
		o.Reuse = tt.reuse
		if got := wantsCRDs(o, tt.earlier); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
