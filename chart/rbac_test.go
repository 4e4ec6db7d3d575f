package chart_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// document is an object whose kind is not known yet, with an RBAC object's fields.
type document struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Rules             []rbacv1.PolicyRule `json:"rules"`
	Subjects          []rbacv1.Subject    `json:"subjects"`
	RoleRef           rbacv1.RoleRef      `json:"roleRef"`
}

// decode reads every document of a manifest.
func decode[T any](t *testing.T, manifest string) []T {
	t.Helper()
	var out []T
	d := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifest), 4096)
	for {
		var one T
		err := d.Decode(&one)
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, one)
	}
}

// TestRBAC records what the chart allows to whom, one right a line, so that a
// change of it is seen for what it is.
func TestRBAC(t *testing.T) {
	var out strings.Builder
	usual := ""
	for _, p := range profiles(t) {
		text := rbac(t, p.render(t).Manifest)
		if p.name == "default" {
			usual = text
		} else if text == usual {
			text = "as default\n"
		}
		fmt.Fprintf(&out, "# %s\n%s", p.name, text)
	}
	golden(t, "rbac", out.String())
}

func rbac(t *testing.T, manifest string) string {
	t.Helper()
	var out strings.Builder
	for _, doc := range decode[document](t, manifest) {
		switch doc.Kind {
		case "ClusterRole", "Role":
			fmt.Fprintf(&out, "%s %s\n%s", doc.Kind, fullName(doc), rights(doc.Rules))
		case "ClusterRoleBinding", "RoleBinding":
			for _, s := range doc.Subjects {
				fmt.Fprintf(&out, "%s %s: %s %s -> %s %s\n", doc.Kind, fullName(doc),
					s.Kind, strings.TrimPrefix(s.Namespace+"/"+s.Name, "/"), doc.RoleRef.Kind, doc.RoleRef.Name)
			}
		}
	}
	return out.String()
}

func fullName(d document) string {
	return strings.TrimPrefix(d.Namespace+"/"+d.Name, "/")
}

func rights(rules []rbacv1.PolicyRule) string {
	var lines []string
	for _, r := range rules {
		for _, group := range r.APIGroups {
			for _, resource := range r.Resources {
				if group != "" {
					resource += "." + group
				}
				if len(r.ResourceNames) > 0 {
					resource += fmt.Sprint(r.ResourceNames)
				}
				lines = append(lines, fmt.Sprintf("  %s: %s\n", resource, strings.Join(r.Verbs, " ")))
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// The manager gets no right that would let it take over the cluster.
func TestRBACHasNoWildcards(t *testing.T) {
	for _, p := range profiles(t) {
		for _, doc := range decode[document](t, p.render(t).Manifest) {
			for _, r := range doc.Rules {
				for _, s := range slices.Concat(r.APIGroups, r.Resources, r.Verbs) {
					if s == "*" || s == "impersonate" || s == "escalate" || s == "bind" {
						t.Errorf("%s: %s %s allows %q", p.name, doc.Kind, doc.Name, s)
					}
				}
			}
		}
	}
}

func TestCRDs(t *testing.T) {
	manifest, err := render(t, "intercept-system")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, crd := range decode[apiextensionsv1.CustomResourceDefinition](t, manifest) {
		if crd.Kind != "CustomResourceDefinition" {
			continue
		}
		names = append(names, crd.Name)
		if crd.Annotations["helm.sh/resource-policy"] != "keep" {
			t.Errorf("%s is not kept on uninstall", crd.Name)
		}
		if crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"].Type != "object" {
			t.Errorf("%s has no schema", crd.Name)
		}
	}
	if want := []string{"intercepts.kubectl-intercept.dev", "sessions.kubectl-intercept.dev"}; !slices.Equal(names, want) {
		t.Errorf("definitions %v, want %v", names, want)
	}
}
