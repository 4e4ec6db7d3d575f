package target

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
)

// Obstacle is why something cannot be done.
type Obstacle struct {
	// Reason is a clause that names the cause, without a capital.
	Reason string
	// Remedy is what to do about it; it may be empty.
	Remedy string
}

// Error is the whole of it.
func (o *Obstacle) Error() string {
	if o.Remedy == "" {
		return o.Reason
	}
	return o.Reason + ": " + o.Remedy
}

// Obstacle says why nothing in a namespace can be intercepted, nil if that is
// not so. What `list` shows, `check` fails with and `add` refuses with is this.
// An Installation that could not be read has no obstacles to tell of.
func (i *Installation) Obstacle(namespace string) *Obstacle {
	switch {
	case i == nil:
		return nil
	case !i.Manages(namespace):
		return &Obstacle{
			Reason: fmt.Sprintf("the traffic-manager in namespace %q works only in %s", i.Namespace, strings.Join(i.Namespaces, ", ")),
			Remedy: fmt.Sprintf("name one of these with -n, or have it work in %q too: kubectl intercept upgrade -n %s --set namespaces='{%s}'",
				namespace, i.Namespace, strings.Join(append(slices.Clone(i.Namespaces), namespace), ",")),
		}
	}
	return nil
}

// GlobalObstacle says why no intercept of a namespace may take all traffic of a port, or
// every HTTP request, nil if that is allowed. Personal intercepts with conditions are.
func (i *Installation) GlobalObstacle(namespace string) *Obstacle {
	if i == nil || !i.ForbidsGlobal(namespace) {
		return nil
	}
	return &Obstacle{
		Reason: fmt.Sprintf("intercepts that take all traffic are forbidden in namespace %q (policy.forbidGlobalIntercepts)", namespace),
		Remedy: fmt.Sprintf("take some of the requests with --match, for example --match auto; an administrator allows all with kubectl intercept upgrade -n %s --set policy.forbidGlobalIntercepts.enabled=false", i.Namespace),
	}
}

// WorkloadObstacle says why a workload cannot be intercepted, nil if it can: its
// namespace's obstacle, or what lies in its own nature.
func (i *Installation) WorkloadObstacle(w *resolve.Workload) *Obstacle {
	if o := i.Obstacle(w.Namespace); o != nil {
		return o
	}
	if reason := resolve.Obstacle(w); reason != "" {
		return &Obstacle{Reason: reason}
	}
	return nil
}

// InstalledIfReadable is Installed, or nil for a user without the right to read it.
func InstalledIfReadable(ctx context.Context, r client.Reader, namespace string) (*Installation, error) {
	i, err := Installed(ctx, r, namespace)
	if apierrors.IsForbidden(err) {
		return nil, nil
	}
	return i, err
}
