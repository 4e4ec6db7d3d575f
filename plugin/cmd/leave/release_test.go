package leave

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

// An intercept that nobody will end is ended by its owner, and only such a one.
func TestRelease(t *testing.T) {
	forbidden := func(resource string) error {
		return apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "x", errors.New("no"))
	}
	const ours, theirs = v1alpha1.Group + "/redirect", "example.com/hold"
	for name, test := range map[string]struct {
		manager, namespace bool // that there are
		hidden             bool // the user may read neither
		patch              error
		finalizers         []string
		gone               bool
		want               string // in the error
	}{
		"no manager":             {namespace: true, finalizers: []string{ours}, gone: true},
		"no namespace":           {finalizers: []string{ours}, gone: true},
		"held by others":         {finalizers: []string{ours, theirs}},
		"may not":                {finalizers: []string{ours}, patch: forbidden("intercepts"), want: "an administrator ends it with kubectl intercept uninstall --force"},
		"a manager that is mute": {manager: true, namespace: true, finalizers: []string{ours}, want: "the traffic-manager has not confirmed"},
		"nobody knows":           {hidden: true, namespace: true, finalizers: []string{ours}, want: "you may not see whether there is a traffic-manager: an administrator ends the intercept with kubectl intercept uninstall --force"},
	} {
		t.Run(name, func(t *testing.T) {
			scheme, err := kube.Scheme()
			if err != nil {
				t.Fatal(err)
			}
			i := &v1alpha1.Intercept{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote", UID: "1", Finalizers: test.finalizers}}
			objects := fake.NewClientBuilder().WithScheme(scheme).WithObjects(i)
			if test.manager {
				objects.WithObjects(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "intercept-system", Name: "traffic-manager"}})
			}
			if test.namespace {
				objects.WithObjects(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "intercept-system"}})
			}
			c := objects.WithInterceptorFuncs(interceptor.Funcs{
				Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
					if _, ok := o.(*v1alpha1.Intercept); !ok && test.hidden {
						return forbidden("configmaps")
					}
					return c.Get(ctx, key, o, opts...)
				},
				Watch: func(ctx context.Context, _ client.WithWatch, _ client.ObjectList, _ ...client.ListOption) (watch.Interface, error) {
					w := watch.NewRaceFreeFake()
					context.AfterFunc(ctx, w.Stop) // as a real one ends
					return w, nil
				},
				Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
					if test.patch != nil {
						return test.patch
					}
					return c.Patch(ctx, o, p, opts...)
				},
			}).Build()
			if err := c.Delete(t.Context(), i); err != nil {
				t.Fatal(err)
			}
			streams, _, _, _ := genericiooptions.NewTestIOStreams()
			o := &Options{IOStreams: streams, Timeout: 50 * time.Millisecond, factory: kube.NewFactory(), client: c}
			err = o.release(t.Context(), i, time.Now())
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			var now v1alpha1.Intercept
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(i), &now); apierrors.IsNotFound(err) != test.gone {
				t.Errorf("%v, finalizers %v", err, now.Finalizers)
			}
			if !test.gone && test.want == "" && len(now.Finalizers) != 1 {
				t.Errorf("finalizers %v", now.Finalizers)
			}
		})
	}
}
