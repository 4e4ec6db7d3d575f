package mesh

import (
	"errors"
	"log/slog"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// keeper has a cluster that serves Sidecar in these versions.
func keeper(t *testing.T, serves []string, objects ...client.Object) *Keeper {
	t.Helper()
	s := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{v1alpha1.GroupVersion()})
	mapper.Add(v1alpha1.GroupVersion().WithKind("Intercept"), meta.RESTScopeNamespace)
	for _, v := range serves {
		mapper.Add(kind().WithVersion(v), meta.RESTScopeNamespace)
		s.AddKnownTypeWithName(kind().WithVersion(v), &unstructured.Unstructured{})
		s.AddKnownTypeWithName(schema.GroupVersionKind{Group: kind().Group, Version: v, Kind: "SidecarList"}, &unstructured.UnstructuredList{})
	}
	c := fake.NewClientBuilder().WithScheme(s).WithRESTMapper(mapper).WithObjects(objects...).Build()
	return &Keeper{Client: c, Namespace: "intercept-system", Log: slog.New(slog.DiscardHandler)}
}

func (k *Keeper) find(t *testing.T, version string) (*unstructured.Unstructured, error) {
	t.Helper()
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(kind().WithVersion(version))
	err := k.Client.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "intercept-your-service"}, u)
	return u, err
}

func TestVersion(t *testing.T) {
	for want, serves := range map[string][]string{
		"v1":       {"v1alpha3", "v1beta1", "v1"},
		"v1beta1":  {"v1alpha3", "v1beta1"},
		"v1alpha3": {"v1alpha3"},
		"":         nil,
	} {
		_, got, err := keeper(t, serves).list(t.Context())
		if got != want || (want == "") != errors.Is(err, ErrNoIstio) {
			t.Errorf("%v: %q, %v; want %q", serves, got, err, want)
		}
	}
}

// TestKeeper leads the object through its life: made, left alone, changed,
// removed; and made again after somebody deleted it.
func TestKeeper(t *testing.T) {
	k, r := keeper(t, []string{"v1"}), redirect()
	apply := func(wantVersion string) {
		t.Helper()
		if err := k.Apply(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		u, err := k.find(t, "v1")
		if err != nil {
			t.Fatal(err)
		}
		if !same(u, r.Sidecar("v1", "intercept-system")) {
			t.Errorf("it is %v", u.Object)
		}
		if u.GetResourceVersion() != wantVersion {
			t.Errorf("it has been written %s times, want %s", u.GetResourceVersion(), wantVersion)
		}
	}
	apply("1")
	apply("1") // nothing to write
	r.Ports = append(r.Ports, Port{9090, 9901})
	apply("2")
	r.Intercepts = append(r.Intercepts, intercept("mine", "uid-2"))
	apply("3")
	for range 2 {
		if err := k.Remove(t.Context(), "shop", "your-service"); err != nil {
			t.Fatal(err)
		}
		if _, err := k.find(t, "v1"); !apierrors.IsNotFound(err) {
			t.Errorf("it is still there: %v", err)
		}
	}
	apply("1")
}

func TestKeeperLeavesTheirsAlone(t *testing.T) {
	mine := theirs("intercept-your-service", map[string]string{"service": "your-service"})
	k := keeper(t, []string{"v1alpha3"}, &mine)
	var c *ConflictError
	if err := k.Apply(t.Context(), redirect()); !errors.As(err, &c) {
		t.Errorf("applied beside theirs: %v", err)
	}
	if err := errors.Join(k.Remove(t.Context(), "shop", "your-service"), k.Sweep(t.Context())); err != nil {
		t.Error(err)
	}
	if u, err := k.find(t, "v1alpha3"); err != nil || !same(u, &mine) {
		t.Errorf("theirs is gone or changed: %v", err)
	}
}

func TestKeeperWithoutIstio(t *testing.T) {
	k := keeper(t, nil)
	if err := k.Apply(t.Context(), redirect()); !errors.Is(err, ErrNoIstio) {
		t.Errorf("applied: %v", err)
	}
	if err := errors.Join(k.Remove(t.Context(), "shop", "your-service"), k.Sweep(t.Context())); err != nil {
		t.Error(err)
	}
}

func TestSweep(t *testing.T) {
	for name, tt := range map[string]struct {
		live    []*v1alpha1.Intercept
		manager string
		managed []string
		stays   bool
	}{
		"all its intercepts are gone": {},
		"one is there":                {live: []*v1alpha1.Intercept{intercept("your-service", "uid-1")}, stays: true},
		"another of that name":        {live: []*v1alpha1.Intercept{intercept("your-service", "uid-9")}},
		"it is going":                 {live: []*v1alpha1.Intercept{going(intercept("your-service", "uid-1"))}},
		"another manager's":           {manager: "elsewhere", stays: true},
		"a namespace of ours":         {managed: []string{"desk", "shop"}},
		"no namespace of ours":        {managed: []string{"desk"}, stays: true},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.manager == "" {
				tt.manager = "intercept-system"
			}
			objects := []client.Object{redirect().Sidecar("v1", tt.manager)}
			for _, ic := range tt.live {
				objects = append(objects, ic)
			}
			k := keeper(t, []string{"v1"}, objects...)
			k.Managed = tt.managed
			if err := k.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := k.find(t, "v1"); (err == nil) != tt.stays {
				t.Errorf("it is there: %t (%v), want %t", err == nil, err, tt.stays)
			}
		})
	}
}

func going(ic *v1alpha1.Intercept) *v1alpha1.Intercept {
	now := metav1.Now()
	ic.DeletionTimestamp, ic.Finalizers = &now, []string{"kubectl-intercept.dev/redirect"}
	return ic
}
