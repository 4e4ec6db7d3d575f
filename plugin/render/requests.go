package render

import (
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// Taking says in a word what an intercept does with what Taken says.
func Taking(spec *v1alpha1.InterceptSpec) string {
	if spec.Mode == v1alpha1.ModeMirror {
		return "Mirroring"
	}
	return "Intercepting"
}

// Taken says what an intercept takes, or a mirror copies. Its conditions have a line each.
func Taken(spec *v1alpha1.InterceptSpec) string {
	if spec.Mode == v1alpha1.ModeIngest {
		return "nothing, the application keeps its traffic"
	}
	if spec.Mode == v1alpha1.ModeReplace && len(spec.Ports) == 0 {
		return "nothing, no port was named"
	}
	if spec.Match == nil {
		return "all " + traffic(spec.Ports)
	}
	return Requests(Conditions(spec))
}

// Requests says which requests meet conditions in words. They have a line each.
func Requests(conditions []string) string {
	if len(conditions) == 0 {
		return "all HTTP requests"
	}
	return "HTTP requests that match all of:\n" + strings.Join(conditions, "\n")
}

// Conditions are those of a personal intercept, each in words.
func Conditions(spec *v1alpha1.InterceptSpec) []string {
	var all []string
	for _, c := range spec.Match.Conditions() {
		all = append(all, c.String())
	}
	return all
}
