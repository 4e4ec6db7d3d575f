package helm

import (
	"strings"

	"helm.sh/helm/v3/pkg/chartutil"
	rbacv1 "k8s.io/api/rbac/v1"
)

// Subject is the user whom the API server calls by this name.
func Subject(user string) rbacv1.Subject {
	if rest, ok := strings.CutPrefix(user, "system:serviceaccount:"); ok {
		namespace, name, _ := strings.Cut(rest, ":")
		return rbacv1.Subject{Kind: "ServiceAccount", Name: name, Namespace: namespace}
	}
	return rbacv1.Subject{Kind: "User", Name: user}
}

// NobodyConnects says that values, which are effective ones, let no user connect a machine.
func NobodyConnects(values chartutil.Values) bool {
	subjects, _ := values.PathValue("clientRbac.subjects")
	list, _ := subjects.([]any)
	return is(values, "clientRbac.create") && !is(values, "clientRbac.allowEverybody") && len(list) == 0
}

// PortForward says that values let those who connect come by port-forward.
func PortForward(values chartutil.Values) bool { return is(values, "clientRbac.portForward") }

func is(values chartutil.Values, path string) bool {
	v, _ := values.PathValue(path) // without one it is not set
	b, _ := v.(bool)
	return b
}

// LetConnect gives the options a value that lets one subject connect.
func (o *Options) LetConnect(s rbacv1.Subject) {
	subject := map[string]any{"kind": s.Kind, "name": s.Name}
	if s.Namespace != "" {
		subject["namespace"] = s.Namespace
	}
	o.Values = overlay(map[string]any{"clientRbac": map[string]any{"subjects": []any{subject}}}, o.Values)
}
