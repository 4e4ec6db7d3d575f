package target

import (
	"context"
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

// Lists that are forbidden are left out and told, unless nothing is left.
func TestWorkloadsForbidden(t *testing.T) {
	for name, test := range map[string]struct {
		refused []string // kinds of lists
		want    string   // workloads
		gap     string
		err     bool
	}{
		"nothing":   {nil, "deployment/quote statefulset/store", "", false},
		"some":      {[]string{"StatefulSetList", "ReplicaSetList"}, "deployment/quote", `statefulsets.apps, replicasets.apps in namespace "default"`, false},
		"rollouts":  {[]string{"RolloutList"}, "deployment/quote statefulset/store", `rollouts.argoproj.io in namespace "default"`, false},
		"all of it": {[]string{"*"}, "", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			scheme, err := kube.Scheme()
			if err != nil {
				t.Fatal(err)
			}
			scheme.AddKnownTypeWithName(Rollout().WithKind("Rollout"), &unstructured.Unstructured{})
			scheme.AddKnownTypeWithName(Rollout().WithKind("RolloutList"), &unstructured.UnstructuredList{})
			refuse := interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
				gvk, err := c.GroupVersionKindFor(list)
				if err != nil {
					return err
				}
				for _, kind := range test.refused {
					if kind == "*" || gvk.Kind == kind {
						return apierrors.NewForbidden(schema.GroupResource{Resource: kind}, "", errors.New("no"))
					}
				}
				return c.List(ctx, list, opts...)
			}}
			c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(deployment("quote", "a"), statefulSet("store", "b")).WithInterceptorFuncs(refuse).Build()
			found, err := Workloads(t.Context(), c, "default")
			if test.err {
				if !apierrors.IsForbidden(err) {
					t.Errorf("error %v, want that it is forbidden", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, w := range found.Workloads {
				names = append(names, w.String())
			}
			if got := strings.Join(names, " "); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			gap := found.Gap("default", func(schema.GroupVersion) (bool, error) { return true, nil })
			if test.gap == "" && gap != "" || !strings.Contains(gap, test.gap) {
				t.Errorf("it says %q, want %q", gap, test.gap)
			}
			if gap := found.Gap("default", func(schema.GroupVersion) (bool, error) { return false, nil }); strings.Contains(gap, "rollouts") {
				t.Errorf("a cluster without Rollouts: %q", gap)
			}
		})
	}
}
