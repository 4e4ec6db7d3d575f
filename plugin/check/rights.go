package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// editHint says what gives a user the right to work in the namespace. YOU stands for
// the user.
func (e *Env) editHint() string {
	return fmt.Sprintf("the ClusterRole \"edit\" allows it: kubectl create rolebinding NAME --clusterrole=edit --user=YOU -n %s", e.Namespace)
}

// hint is a hint with the user's name.
func (e *Env) hint(ctx context.Context, text string) string {
	user, _ := e.askUser(ctx) // withAPI has seen to it
	return strings.ReplaceAll(text, "YOU", word(user))
}

// workloads looks whether the user may read what can be intercepted. Without
// pods, Services and one kind of workload nothing can; without another kind that
// kind is missing in list, and no more.
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

// intercepts looks for what keeps the user from intercepting in the namespace beside
// missing rights: the obstacle that list shows and add refuses with, then what the
// API server says to an Intercept.
func (e *Env) intercepts(ctx context.Context) Outcome {
	i, err := e.askInstalled(ctx)
	switch {
	case err != nil && !apierrors.IsForbidden(err):
		return ok("") // the check whether it is installed says this
	case err == nil && !i.Manages(e.Namespace):
		return ok("") // the check where it works says this
	}
	if o := i.Obstacle(e.Namespace); o != nil {
		return fail(o.Reason, o.Remedy)
	}
	return e.tryIntercept(ctx)
}

// tryIntercept makes an Intercept as a dry run: policies of others speak then, and
// the traffic-manager's own to a user who may not read what it says of itself.
func (e *Env) tryIntercept(ctx context.Context) Outcome {
	user, _ := e.askUser(ctx) // withAPI has seen to it
	try := &v1alpha1.Intercept{
		ObjectMeta: metav1.ObjectMeta{Namespace: e.Namespace, GenerateName: "check-"},
		Spec: v1alpha1.InterceptSpec{User: user, Session: "check", Workload: v1alpha1.WorkloadReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "check"},
			Ports: []v1alpha1.InterceptPort{{LocalHost: "127.0.0.1", LocalPort: 8080}}},
	}
	err := e.Client.Create(ctx, try, client.DryRunAll)
	switch {
	case err == nil, apierrors.IsNotFound(err):
		return ok("")
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "forbidGlobalIntercepts"):
		o := target.GlobalForbidden(e.Namespace, e.ManagerNamespace)
		return fail(o.Reason, o.Remedy)
	}
	return fail("an intercept would be refused: "+render.Error(err), "")
}

// dials looks whether a connected machine reaches the namespace: the
// traffic-manager asks for the right to forward ports to pods there.
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
