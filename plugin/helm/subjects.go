package helm

import (
	"strings"

	"helm.sh/helm/v3/pkg/chartutil"
)

// RBACSubject is an element of the value clientRbac.subjects.
type RBACSubject struct {
	Kind      string `json:"kind"`
	Name      string `json:"name"`
	Namespace string `json:"namespace,omitempty"`
}

// Subject is the user whom the API server calls by this name.
func Subject(user string) RBACSubject {
	if rest, ok := strings.CutPrefix(user, "system:serviceaccount:"); ok {
		namespace, name, _ := strings.Cut(rest, ":")
		return RBACSubject{Kind: "ServiceAccount", Name: name, Namespace: namespace}
	}
	return RBACSubject{Kind: "User", Name: user}
}

// NobodyConnects says that values, which are effective ones, let no user connect a machine.
func NobodyConnects(values chartutil.Values) bool {
	is := func(path string) bool {
		v, _ := values.PathValue(path) // without one it is not set
		b, _ := v.(bool)
		return b
	}
	subjects, _ := values.PathValue("clientRbac.subjects")
	list, _ := subjects.([]any)
	return is("clientRbac.create") && !is("clientRbac.allowEverybody") && len(list) == 0
}

// LetConnect gives the options a value that lets one subject connect.
func (o *Options) LetConnect(s RBACSubject) {
	subject := map[string]any{"kind": s.Kind, "name": s.Name}
	if s.Namespace != "" {
		subject["namespace"] = s.Namespace
	}
	o.Values = overlay(map[string]any{"clientRbac": map[string]any{"subjects": []any{subject}}}, o.Values)
}
