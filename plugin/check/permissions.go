package check

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
)

// need is the right to do something with a resource, or with one object.
type need struct{ verb, group, resource, name, namespace string }

// String is "create intercepts.kubectl-intercept.dev".
func (n need) String() string {
	resource, sub, found := strings.Cut(n.resource, "/")
	if n.group != "" {
		resource += "." + n.group
	}
	if found {
		resource += "/" + sub
	}
	return n.verb + " " + resource
}

// needs returns one need for each combination of a verb and a resource.
func needs(namespace, group string, verbs []string, resources ...string) []need {
	var all []need
	for _, r := range resources {
		for _, v := range verbs {
			all = append(all, need{verb: v, group: group, resource: r, namespace: namespace})
		}
	}
	return all
}

// missing asks the API server which of the needs the user lacks.
func (e *Env) missing(ctx context.Context, all []need) ([]need, error) {
	allowed := make([]bool, len(all))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i, n := range all {
		g.Go(func() error {
			resource, sub, _ := strings.Cut(n.resource, "/")
			r, err := e.Kube.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
				Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
					Namespace: n.namespace, Verb: n.verb, Group: n.group, Resource: resource, Subresource: sub, Name: n.name}},
			}, metav1.CreateOptions{})
			if err == nil {
				allowed[i] = r.Status.Allowed
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var out []need
	for i, n := range all {
		if !allowed[i] {
			out = append(out, n)
		}
	}
	return out, nil
}

// hasRights returns a check whether the user has all of these rights.
func (e *Env) hasRights(all []need, hint string) func(context.Context) Outcome {
	return e.withAPI(func(ctx context.Context) Outcome {
		lacks, err := e.missing(ctx, all)
		if err != nil {
			return failedToAsk("ask for your permissions", err)
		}
		return judgeNeeds(lacks, e.hint(ctx, hint))
	})
}

// shellQuoted quotes a name for a shell if that is necessary.
func shellQuoted(s string) string {
	if regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`).MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func judgeNeeds(lacks []need, hint string) Outcome {
	if len(lacks) == 0 {
		return ok("")
	}
	var words []string
	for _, n := range lacks {
		words = append(words, n.String())
	}
	return fail("you may not "+strings.Join(words, ", "), hint)
}

// connectHint is what to do for somebody who may not connect.
func (e *Env) connectHint() string {
	return fmt.Sprintf("the Role \"traffic-manager-connect\" in namespace %q allows it: chart value clientRbac.subjects", e.ManagerNamespace)
}

func (e *Env) permissionChecks() []Check {
	ownVerbs := []string{"create", "delete", "get", "list", "watch"}
	connect := e.connectHint()
	return []Check{
		{fmt.Sprintf("you may read the workloads of namespace %q", e.Namespace), fmt.Sprintf("you may not read all workloads of namespace %q", e.Namespace), e.withAPI(e.workloads)},
		{fmt.Sprintf("you may intercept in namespace %q", e.Namespace), fmt.Sprintf("you may not intercept in namespace %q", e.Namespace), func(ctx context.Context) Outcome {
			o := e.hasRights(needs(e.Namespace, v1alpha1.Group, append([]string{"update"}, ownVerbs...), "intercepts"), e.editHint())(ctx)
			if o.Status != OK {
				return o
			}
			return e.intercepts(ctx)
		}},
		{"you may connect this machine", "you may not connect this machine", e.hasRights(needs(e.ManagerNamespace, v1alpha1.Group, []string{"create", "delete", "get"}, "sessions"), connect)},
		{"you may reach the traffic-manager", "you may not reach the traffic-manager", e.withAPI(func(ctx context.Context) Outcome {
			proxy, err := e.missing(ctx, []need{{"get", "", "services/proxy", carrier.ProxiedService, e.ManagerNamespace}})
			if err != nil {
				return failedToAsk("ask for your permissions", err)
			}
			forward, err := e.missing(ctx, append(needs(e.ManagerNamespace, "", []string{"list"}, "pods"),
				needs(e.ManagerNamespace, "", []string{"create", "get"}, "pods/portforward")...))
			if err != nil {
				return failedToAsk("ask for your permissions", err)
			}
			return judgeTransports(len(proxy) == 0, len(forward) == 0, connect)
		})},
		{fmt.Sprintf("you may reach the Services and pods of namespace %q", e.Namespace),
			fmt.Sprintf("you may not reach the Services and pods of namespace %q", e.Namespace), e.withAPI(e.dials)},
	}
}

// judgeTransports judges the two transports to the traffic-manager.
func judgeTransports(proxy, forward bool, hint string) Outcome {
	switch {
	case proxy && forward:
		return ok("by service proxy and by port-forward")
	case proxy:
		return ok("by service proxy")
	case forward:
		return warn("by port-forward only, which is slower: you may not get services/proxy", hint).stillSo()
	}
	return fail("you may neither get services/proxy nor create pods/portforward there", hint)
}

// installChecks are the rights that `install`, `upgrade` and `uninstall` need.
func (e *Env) installChecks() []Check {
	const admin = "a cluster administrator has it: kubectl create clusterrolebinding NAME --clusterrole=cluster-admin --user=YOU"
	verbs := []string{"create", "delete", "get", "patch"}
	cluster := needs("", "apiextensions.k8s.io", verbs, "customresourcedefinitions")
	cluster = append(cluster, needs("", "rbac.authorization.k8s.io", verbs, "clusterroles", "clusterrolebindings")...)
	cluster = append(cluster, needs("", "admissionregistration.k8s.io", verbs,
		"validatingadmissionpolicies", "validatingadmissionpolicybindings", "mutatingwebhookconfigurations")...)
	cluster = append(cluster, need{verb: "create", resource: "namespaces"})
	here := needs(e.ManagerNamespace, "", verbs, "configmaps", "secrets", "serviceaccounts", "services")
	here = append(here, needs(e.ManagerNamespace, "apps", verbs, "deployments")...)
	here = append(here, needs(e.ManagerNamespace, "policy", verbs, "poddisruptionbudgets")...)
	here = append(here, needs(e.ManagerNamespace, "rbac.authorization.k8s.io", verbs, "roles", "rolebindings")...)
	return []Check{
		{"you may make what belongs to the cluster", "you may not make all that belongs to the cluster", e.hasRights(cluster, admin)},
		{fmt.Sprintf("you may make what belongs to namespace %q", e.ManagerNamespace),
			fmt.Sprintf("you may not make all that belongs to namespace %q", e.ManagerNamespace), e.hasRights(here, admin)},
		{"you may grant the traffic-manager its rights", "you may not grant the traffic-manager whatever rights it needs", e.withAPI(func(ctx context.Context) Outcome {
			lacks, err := e.missing(ctx, needs("", "rbac.authorization.k8s.io", []string{"escalate", "bind"}, "clusterroles"))
			if err != nil {
				return failedToAsk("ask for your permissions", err)
			}
			return judgeGrant(lacks, e.hint(ctx, admin))
		})},
		{"no other traffic-manager is in the way", "another traffic-manager is in the way", e.withAPI(e.inTheWay)},
	}
}

func judgeGrant(lacks []need, hint string) Outcome {
	if o := judgeNeeds(lacks, hint); o.Status == Failed {
		return warn(o.Detail+", so Kubernetes lets you grant only what you may do yourself, and may refuse the installation", hint)
	}
	return ok("")
}
