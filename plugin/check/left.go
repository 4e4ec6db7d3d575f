package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// left lists what is left of an installation whose traffic-manager is gone, as far as
// the user may read it. It returns "" if nothing is left.
func (e *Env) left(ctx context.Context, err error) string {
	var absent *target.NotInstalledError
	if !errors.As(err, &absent) {
		return ""
	}
	// An intercept in a namespace that another traffic-manager manages is not a
	// leftover.
	neighbors, _ := target.Neighbors(ctx, e.Kube, e.ManagerNamespace)
	var parts []string
	list, _ := target.VisibleIntercepts(ctx, e.Client, e.Namespace, e.ManagerNamespace)
	for _, i := range list {
		if !slices.ContainsFunc(neighbors, func(n target.Neighbor) bool { return n.Serves(i.Namespace) }) {
			parts = append(parts, "intercept "+i.Namespace+"/"+i.Name)
		}
	}
	remains, _ := target.Remains(ctx, e.Client, e.ManagerNamespace)
	for i := range remains {
		parts = append(parts, target.RemainName(&remains[i]))
	}
	return strings.Join(parts, ", ")
}

// neighbors looks for another traffic-manager in the cluster that manages one of the
// same namespaces.
func (e *Env) neighbors(ctx context.Context) Outcome {
	i, err := e.askInstalled(ctx)
	if err != nil {
		return skip("you may not read where it works")
	}
	list, err := target.Neighbors(ctx, e.Kube, e.ManagerNamespace)
	if apierrors.IsForbidden(err) {
		return skip("you may not list configmaps in all namespaces, where others would be found")
	}
	if err != nil {
		return fail(render.Error(err), "").unknown()
	}
	for _, n := range list {
		if o := n.Overlap(i.Namespaces); o != nil {
			return fail(o.Reason, o.Remedy+fmt.Sprintf("; or remove one of the two: kubectl intercept uninstall -n %s", n.Namespace))
		}
	}
	return ok("")
}

// inTheWay runs before an installation. It looks for another traffic-manager in the
// cluster that manages all namespaces or some of them. The new one must not manage the
// same namespaces.
func (e *Env) inTheWay(ctx context.Context) Outcome {
	list, err := target.Neighbors(ctx, e.Kube, e.ManagerNamespace)
	if apierrors.IsForbidden(err) {
		return skip("you may not list configmaps in all namespaces, where it would be found")
	}
	if err != nil {
		return fail(render.Error(err), "").unknown()
	}
	worst := ok("")
	for _, n := range list {
		o := n.Overlap(nil)
		if n.Namespaces == nil {
			return fail(o.Reason, o.Remedy)
		}
		worst = warn(o.Reason, o.Remedy)
	}
	return worst
}
