package target

import (
	"context"
	"errors"
	"testing"

	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

// An API server that refuses a get and ends a watch at once is waited for.
func TestFollowSurvivesTheServer(t *testing.T) {
	scheme, err := kube.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	i := &v1alpha1.Intercept{}
	i.Name, i.Namespace = "quote", "default"
	var c client.WithWatch
	gets, watches := 0, 0
	c = fake.NewClientBuilder().WithScheme(scheme).WithObjects(i).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if gets++; gets == 1 {
				return errors.New("connection refused")
			}
			return c.Get(ctx, key, o, opts...)
		},
		Watch: func(ctx context.Context, under client.WithWatch, list client.ObjectList, opts ...client.ListOption) (watch.Interface, error) {
			if watches++; watches == 1 {
				w := watch.NewFake()
				w.Stop()
				return w, nil
			}
			w, err := under.Watch(ctx, list, client.InNamespace("default"))
			if err == nil {
				err = under.Delete(ctx, i)
			}
			return w, err
		},
	}).Build()
	seen := 0
	err = Follow(t.Context(), c, client.ObjectKeyFromObject(i), func(now *v1alpha1.Intercept) (bool, error) {
		seen++
		return now == nil, nil
	})
	if err != nil || gets != 3 || watches != 2 || seen != 3 {
		t.Errorf("%v after %d gets, %d watches, %d visits", err, gets, watches, seen)
	}
}
