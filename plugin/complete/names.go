package complete

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// types are those that can be intercepted, as a user types them before a name.
func types() []string {
	return []string{"deployment/", "statefulset/", "daemonset/", "replicaset/", "job/", "pod/", "service/", "rollout/"}
}

// workloads completes TYPE/NAME, NAME or TYPE NAME. What follows "--" is the shell's.
func (c *Completer) workloads(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	switch {
	case c.dashed:
		return nil, cobra.ShellCompDirectiveDefault
	case len(args) == 0:
		return c.workload(cmd, typed)
	case len(args) == 1 && target.IsType(args[0]):
		return c.ask(cmd, typed, func(ctx context.Context, r client.Reader, namespace string) ([]string, error) {
			return namesOf(ctx, r, namespace, args[0])
		}), cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// logs completes whose log, and of an agent in which workload.
func (c *Completer) logs(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	switch {
	case len(args) == 0:
		return fixed("session", "netd", "manager", "agent")(cmd, args, typed)
	case args[0] == "agent" && len(args) == 1:
		return c.workload(cmd, typed)
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// manyWorkloads completes each argument on its own.
func (c *Completer) manyWorkloads(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	words, directive := c.workload(cmd, typed)
	return slices.DeleteFunc(words, func(w string) bool { return slices.Contains(args, w) }), directive
}

// workloadFlag completes the value of a flag.
func (c *Completer) workloadFlag(cmd *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return c.workload(cmd, typed)
}

// workload completes TYPE/NAME, and NAME with deployments.
func (c *Completer) workload(cmd *cobra.Command, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	kind, _, slash := strings.Cut(typed, "/")
	if slash {
		return c.ask(cmd, typed, func(ctx context.Context, r client.Reader, namespace string) ([]string, error) {
			names, err := namesOf(ctx, r, namespace, kind)
			for n := range names {
				names[n] = kind + "/" + names[n]
			}
			return names, err
		}), cobra.ShellCompDirectiveNoFileComp
	}
	names := c.ask(cmd, typed, func(ctx context.Context, r client.Reader, namespace string) ([]string, error) {
		return namesOf(ctx, r, namespace, "deployment")
	})
	directive := cobra.ShellCompDirectiveNoFileComp
	if more := having(typed, types()); len(more) > 0 {
		names, directive = append(names, more...), directive|cobra.ShellCompDirectiveNoSpace
	}
	return names, directive
}

// namesOf lists the names of a type's objects. Those that another one controls are left out,
// except for pods: a pod of a Deployment can be meant.
func namesOf(ctx context.Context, r client.Reader, namespace, kind string) ([]string, error) {
	ref, err := target.Parse(kind + "/any")
	if err != nil {
		return nil, err
	}
	list, err := metadata(ctx, r, schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind), client.InNamespace(namespace))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, o := range list {
		if ref.Kind == "Pod" || metav1.GetControllerOf(&o) == nil {
			names = append(names, o.Name)
		}
	}
	return names, nil
}

// metadata lists objects without what is in them: it is the names that count.
func metadata(ctx context.Context, r client.Reader, gvk schema.GroupVersionKind, opts ...client.ListOption) ([]metav1.PartialObjectMetadata, error) {
	var list metav1.PartialObjectMetadataList
	list.SetGroupVersionKind(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
	err := r.List(ctx, &list, opts...)
	return list.Items, err
}

func (c *Completer) namespaces(cmd *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return c.ask(cmd, typed, func(ctx context.Context, r client.Reader, _ string) ([]string, error) {
		list, err := metadata(ctx, r, schema.GroupVersionKind{Version: "v1", Kind: "Namespace"})
		var names []string
		for _, o := range list {
			names = append(names, o.Name)
		}
		return names, err
	}), cobra.ShellCompDirectiveNoFileComp
}

// managers are the namespaces that have a traffic-manager.
func (c *Completer) managers(cmd *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return c.ask(cmd, typed, func(ctx context.Context, r client.Reader, _ string) ([]string, error) {
		return target.Managers(ctx, r)
	}), cobra.ShellCompDirectiveNoFileComp
}

// ownIntercepts completes names of the user's intercepts, each once.
func (c *Completer) ownIntercepts(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	words := c.ask(cmd, typed, func(ctx context.Context, r client.Reader, namespace string) ([]string, error) {
		var list v1alpha1.InterceptList
		if err := r.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			return nil, err
		}
		user := "" // all are offered if it is not known
		if w, ok := r.(client.Client); ok && len(list.Items) > 0 {
			user, _ = target.User(ctx, w)
		}
		var names []string
		for _, i := range list.Items {
			if name := i.Name; (user == "" || i.Spec.User == user) && !slices.Contains(args, name) {
				names = append(names, name+"\t"+resolve.RefString(i.Spec.Workload))
			}
		}
		return names, nil
	})
	return words, cobra.ShellCompDirectiveNoFileComp
}

// anIntercept is ownIntercepts for a command that takes one.
func (c *Completer) anIntercept(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.ownIntercepts(cmd, args, typed)
}
