package mesh

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

func intercept(name, uid string) *v1alpha1.Intercept {
	return &v1alpha1.Intercept{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(uid)}}
}

// redirect is the example of the tests: a Deployment whose pods have labels of
// their own beside those it selects by.
func redirect() Redirect {
	return Redirect{
		Namespace: "shop", Workload: "your-service",
		Labels:   map[string]string{"service": "your-service", "tier": "web"},
		Selector: map[string]string{"service": "your-service"},
		Ports:    []Port{{8080, 9900}}, Intercepts: []*v1alpha1.Intercept{intercept("your-service", "uid-1")},
	}
}

func TestSidecar(t *testing.T) {
	several := redirect()
	several.Workload = strings.Repeat("long-", 20) + "name"
	several.Ports = []Port{{9090, 9901}, {8080, 9900}}
	several.Intercepts = append(several.Intercepts, intercept("mine", "uid-0"))
	for name, tt := range map[string]struct {
		version string
		r       Redirect
	}{
		"sidecar":  {"v1", redirect()},
		"several":  {"v1beta1", several},
		"v1alpha3": {"v1alpha3", redirect()},
	} {
		t.Run(name, func(t *testing.T) {
			u := tt.r.Sidecar(tt.version, "intercept-system")
			golden(t, name, u.Object)
			for k, v := range u.GetLabels() {
				if problems := validation.IsValidLabelValue(v); len(problems) > 0 {
					t.Errorf("label %s=%s: %v", k, v, problems)
				}
			}
		})
	}
}

// theirs is a Sidecar of a user's.
func theirs(name string, selector map[string]string) unstructured.Unstructured {
	spec := map[string]any{"egress": []any{map[string]any{"hosts": []any{"istio-system/*"}}}}
	if selector != nil {
		labels := map[string]any{}
		for k, v := range selector {
			labels[k] = v
		}
		spec["workloadSelector"] = map[string]any{"labels": labels}
	}
	return unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.istio.io/v1alpha3", "kind": "Sidecar",
		"metadata": map[string]any{"namespace": "shop", "name": name}, "spec": spec,
	}}
}

func TestConflict(t *testing.T) {
	const advice = ": name the port in the pod template and use the name as the targetPort of its Service, then none is needed"
	other := redirect()
	other.Workload = "another"
	for _, tt := range []struct {
		name     string
		existing *unstructured.Unstructured
		want     string
	}{
		{"selects the workload", ptr(theirs("egress-config", map[string]string{"service": "your-service"})),
			"existing sidecar egress-config conflicts with new sidecar for workload your-service" + advice},
		{"selects by a label of the pods", ptr(theirs("web", map[string]string{"tier": "web"})),
			"existing sidecar web conflicts with new sidecar for workload your-service" + advice},
		{"selects somebody else", ptr(theirs("egress-config", map[string]string{"service": "your-service", "tier": "db"})), ""},
		{"the namespace's default", ptr(theirs("default", nil)), ""},
		{"an empty selector", ptr(theirs("default", map[string]string{})), ""},
		{"ours", redirect().Sidecar("v1", "intercept-system"), ""},
		{"our name, somebody's object", ptr(theirs("intercept-your-service", nil)),
			"existing sidecar intercept-your-service conflicts with new sidecar for workload your-service" + advice},
		{"another traffic-manager's", redirect().Sidecar("v1", "elsewhere"),
			"existing sidecar intercept-your-service conflicts with new sidecar for workload your-service" + advice},
		{"ours for a workload with the same pods", other.Sidecar("v1", "intercept-system"),
			"existing sidecar intercept-another conflicts with new sidecar for workload your-service" + advice},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := redirect().Conflict([]unstructured.Unstructured{*tt.existing}, "intercept-system")
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var c *ConflictError
			if !errors.As(err, &c) {
				t.Fatalf("got %v", err)
			}
			if d := cmp.Diff(tt.want, err.Error()); d != "" {
				t.Error(d)
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }

func TestNamesStayApart(t *testing.T) {
	long := strings.Repeat("a", 250)
	a, b := SidecarName(long+"1"), SidecarName(long+"2")
	if a == b || len(a) > 253 || len(validation.IsDNS1123Subdomain(a)) > 0 {
		t.Errorf("%s and %s", a, b)
	}
}
