package target

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// Untyped is what a name without a type means: the Deployment, and where there is none, the
// only workload of another type with that name. Where there is nothing of that name it is the
// Deployment, so that the error is about that.
func Untyped(ctx context.Context, r client.Reader, namespace, name string) (v1alpha1.WorkloadReference, error) {
	deployment, err := Parse(name)
	if err != nil {
		return deployment, err
	}
	if _, err := resolve.Get(ctx, r, namespace, deployment); !absent(err) {
		return deployment, nil // whoever reads it next has the same error
	}
	var found []v1alpha1.WorkloadReference
	for _, kind := range []string{"statefulset", "daemonset", "replicaset", "job", "rollout"} {
		ref, err := Parse(kind + "/" + name)
		if err != nil {
			return deployment, err
		}
		if _, err := resolve.Get(ctx, r, namespace, ref); err == nil {
			found = append(found, ref)
		}
	}
	switch len(found) {
	case 0:
		return deployment, nil
	case 1:
		return found[0], nil
	}
	names := make([]string, len(found))
	for n, ref := range found {
		names[n] = resolve.RefString(ref)
	}
	return deployment, fmt.Errorf("there is no deployment %s in namespace %q, but %s: name its type, too", name, namespace, strings.Join(names, " and "))
}

// absent says that the cluster has no such object, or does not know the type.
func absent(err error) bool {
	return apierrors.IsNotFound(err) || meta.IsNoMatchError(err)
}
