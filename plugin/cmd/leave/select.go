package leave

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// choose returns the user's intercepts that name means: the one of that name,
// else those of the workload. all are the intercepts of the namespace.
func choose(all []v1alpha1.Intercept, user, namespace, name string) ([]v1alpha1.Intercept, error) {
	mine := own(all, user)
	if strings.Contains(name, "/") {
		ref, err := target.Parse(name)
		if err != nil {
			return nil, err
		}
		found := keep(mine, func(i v1alpha1.Intercept) bool {
			return i.Spec.Workload == ref || ref.Kind == "Service" && i.Spec.Service == ref.Name
		})
		if len(found) == 0 {
			return nil, unknown(all, mine, namespace, name, ref.Name)
		}
		return found, nil
	}
	if found := keep(mine, func(i v1alpha1.Intercept) bool { return i.Name == name }); len(found) > 0 {
		return found, nil
	}
	found := keep(mine, func(i v1alpha1.Intercept) bool { return i.Spec.Workload.Name == name })
	if len(found) == 0 {
		return nil, unknown(all, mine, namespace, name, name)
	}
	return found, nil
}

// unknown says that the user has no such intercept, and what there is.
func unknown(all, mine []v1alpha1.Intercept, namespace, asked, name string) error {
	for _, i := range all {
		if i.Name == asked || strings.Contains(asked, "/") && i.Spec.Workload.Name == name {
			return fmt.Errorf("intercept %q in namespace %q belongs to %s: you can leave only your own; an administrator ends it with kubectl delete intercept %s -n %s",
				i.Name, i.Namespace, i.Spec.User, i.Name, i.Namespace)
		}
	}
	if len(mine) == 0 {
		return &unknownError{asked, name, fmt.Sprintf("you have no intercept %q in namespace %q, nor any other there", asked, namespace)}
	}
	var names []string
	for _, i := range mine {
		names = append(names, i.Name)
	}
	if near := target.Near(name, names); len(near) > 0 {
		return &unknownError{asked, name, fmt.Sprintf("you have no intercept %q in namespace %q; did you mean %s?", asked, namespace, strings.Join(near, " or "))}
	}
	return &unknownError{asked, name, fmt.Sprintf("you have no intercept %q in namespace %q; yours are: %s", asked, namespace, strings.Join(names, ", "))}
}

// unknownError says that the user has no such intercept where it was looked for.
type unknownError struct {
	asked, name string // as typed; without its type
	text        string
}

func (e *unknownError) Error() string { return e.text }

func own(all []v1alpha1.Intercept, user string) []v1alpha1.Intercept {
	return keep(all, func(i v1alpha1.Intercept) bool { return i.Spec.User == user })
}

func keep(all []v1alpha1.Intercept, which func(v1alpha1.Intercept) bool) []v1alpha1.Intercept {
	return slices.DeleteFunc(slices.Clone(all), func(i v1alpha1.Intercept) bool { return !which(i) })
}
