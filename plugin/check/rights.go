package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// editHint is the hint how to give a user the right to work in the namespace. Its
// placeholder YOU stands for the user's name.
func (e *Env) editHint() string {
	return fmt.Sprintf("the ClusterRole \"edit\" allows it: kubectl create rolebinding NAME --clusterrole=edit --user=YOU -n %s", e.Namespace)
}

// hint replaces the placeholder YOU in a hint with the user's name.
func (e *Env) hint(ctx context.Context, text string) string {
	user, _ := e.askUser(ctx) // no error: withAPI has got the name
	return strings.ReplaceAll(text, "YOU", shellQuoted(user))
}

// workloads checks whether the user may read pods, Services and workloads. The check
// fails if the user may not read pods, Services or any kind of workload, because then
// nothing can be intercepted. If the user may read only some kinds of workloads, it
// warns.
func (e *Env) workloads(ctx context.Context) Outcome {
	verbs := []string{"get", "list"}
	kinds := append(needs(e.Namespace, "apps", verbs, "deployments", "statefulsets", "daemonsets", "replicasets"), needs(e.Namespace, "batch", verbs, "jobs")...)
	lacks, err := e.missing(ctx, slices.Concat(kinds, needs(e.Namespace, "", verbs, "services", "pods")))
	if err != nil {
		return failedToAsk("ask for your permissions", err)
	}
	o := judgeNeeds(lacks, e.hint(ctx, e.editHint()))
	readable := slices.ContainsFunc(kinds, func(kind need) bool {
		return !slices.ContainsFunc(lacks, func(n need) bool { return n.group == kind.group && n.resource == kind.resource })
	})
	essential := slices.ContainsFunc(lacks, func(n need) bool { return n.group == "" })
	if o.Status == Failed && readable && !essential {
		return warn(o.Detail+": workloads of that kind are neither listed nor intercepted", o.Hint)
	}
	return o
}

// intercepts looks for obstacles to intercepts in the namespace other than missing
// rights. First it looks for the obstacle that the commands list and add report. If
// there is none, it creates an Intercept as a dry run.
func (e *Env) intercepts(ctx context.Context) Outcome {
	i, err := e.askInstalled(ctx)
	switch {
	case err != nil && !apierrors.IsForbidden(err):
		return ok("") // another check reports that the traffic-manager is not installed
	case err == nil && !i.Manages(e.Namespace):
		return ok("") // another check reports that it does not manage this namespace
	}
	if o := i.Obstacle(e.Namespace); o != nil {
		return fail(o.Reason, o.Remedy)
	}
	return e.tryIntercept(ctx, i.GlobalObstacle(e.Namespace))
}

// dials checks whether a connected laptop can reach the pods and Services of the
// namespace. The traffic-manager requires that the user may create pods/portforward
// there.
func (e *Env) dials(ctx context.Context) Outcome {
	lacks, err := e.missing(ctx, needs(e.Namespace, "", []string{"create"}, "pods/portforward"))
	if err != nil {
		return failedToAsk("ask for your permissions", err)
	}
	if len(lacks) == 0 {
		return ok("")
	}
	if i, err := e.askInstalled(ctx); err == nil && i.OpenNetwork {
		return ok("clientRbac.openNetwork lets every connected machine dial everything")
	}
	return warn("you may not "+lacks[0].String()+": connect and run reach nothing there, while intercepts work", e.hint(ctx, e.editHint()))
}
