package preview

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// find returns the intercept that the argument means: the one of that name, or the only
// one of that workload. Those of the user come first, since all users have workloads by the
// same names.
func (o *Options) find(ctx context.Context, c client.Client) (*v1alpha1.Intercept, error) {
	all, err := target.Intercepts(ctx, c, o.Namespace, o.factory.ManagerNamespace)
	if err != nil {
		return nil, err
	}
	if user, err := target.User(ctx, c); err == nil {
		mine := slices.DeleteFunc(slices.Clone(all), func(i v1alpha1.Intercept) bool { return i.Spec.User != user })
		if ic, err := choose(mine, o.Namespace, o.Name); err == nil {
			return ic, nil
		}
	}
	return choose(all, o.Namespace, o.Name)
}

func choose(all []v1alpha1.Intercept, namespace, name string) (*v1alpha1.Intercept, error) {
	all = slices.DeleteFunc(all, func(i v1alpha1.Intercept) bool { return i.DeletionTimestamp != nil })
	is := func(i v1alpha1.Intercept) bool { return i.Spec.Workload.Name == name }
	if strings.Contains(name, "/") {
		ref, err := target.Parse(name)
		if err != nil {
			return nil, err
		}
		is = func(i v1alpha1.Intercept) bool {
			return i.Spec.Workload == ref || ref.Kind == "Service" && i.Spec.Service == ref.Name
		}
	} else if i := slices.IndexFunc(all, func(i v1alpha1.Intercept) bool { return i.Name == name }); i >= 0 {
		return &all[i], nil
	}
	var found []*v1alpha1.Intercept
	var names, those []string
	for i := range all {
		names = append(names, all[i].Name)
		if is(all[i]) {
			found, those = append(found, &all[i]), append(those, all[i].Name)
		}
	}
	switch near := target.Near(name, names); {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, fmt.Errorf("%s has several intercepts in namespace %q: name one of %s", name, namespace, strings.Join(those, ", "))
	case len(near) > 0:
		return nil, fmt.Errorf("there is no intercept %q in namespace %q; did you mean %s?", name, namespace, strings.Join(near, " or "))
	}
	return nil, fmt.Errorf("there is no intercept %q in namespace %q: kubectl intercept add makes one", name, namespace)
}
