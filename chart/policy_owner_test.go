package chart_test

import (
	"reflect"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// TestOwnerPolicy: a Session says of its user what the API server knows, all of it, and nothing
// that is another for each token.
func TestOwnerPolicy(t *testing.T) {
	p := policyOf(t, "traffic-manager-intercept-system-owner")
	const user, groups, extra = "spec.user must be your own name", "spec.groups must be your own groups", "spec.extra must be what the API server knows of you"
	scopes := map[string]v1alpha1.ExtraValues{"scopes.authorization.openshift.io": {"user:info"}}
	alice := v1alpha1.SessionSpec{User: "alice", Groups: []string{"developers"}, Extra: scopes}
	for name, c := range map[string]struct {
		change func(*v1alpha1.SessionSpec)
		want   string
	}{
		"her own":      {func(*v1alpha1.SessionSpec) {}, ""},
		"bob's":        {func(s *v1alpha1.SessionSpec) { s.User = "bob" }, user},
		"a group more": {func(s *v1alpha1.SessionSpec) { s.Groups = append(s.Groups, "system:masters") }, groups},
		"no scopes":    {func(s *v1alpha1.SessionSpec) { s.Extra = nil }, extra},
		"wider scopes": {func(s *v1alpha1.SessionSpec) {
			s.Extra = map[string]v1alpha1.ExtraValues{"scopes.authorization.openshift.io": {"user:full"}}
		}, extra},
		"another key":   {func(s *v1alpha1.SessionSpec) { s.Extra["team"] = v1alpha1.ExtraValues{"shop"} }, extra},
		"her token's":   {func(s *v1alpha1.SessionSpec) { s.Extra[v1alpha1.CredentialID] = v1alpha1.ExtraValues{"JTI=1"} }, extra},
		"of a renewal":  {func(s *v1alpha1.SessionSpec) { s.Renews = "alice-laptop" }, ""},
		"bob's renewed": {func(s *v1alpha1.SessionSpec) { s.Renews, s.User = "bob-laptop", "bob" }, user},
	} {
		s := v1alpha1.Session{ObjectMeta: metav1.ObjectMeta{Name: "alice-laptop"}, Spec: *alice.DeepCopy()}
		c.change(&s.Spec)
		got := p.answer(map[string]any{"operation": "CREATE", "namespace": "intercept-system", "resource": map[string]any{"resource": "sessions"},
			"userInfo": map[string]any{"username": "alice", "groups": []string{"developers"},
				"extra": map[string][]string{"scopes.authorization.openshift.io": {"user:info"}, v1alpha1.CredentialID: {"JTI=1"}}}}, s, nil)
		if (got == "") != (c.want == "") || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: answered %q, want %q", name, got, c.want)
		}
	}
}

// TestOwnerBindingStays: no value and no version changes what the owner policy is bound to. The
// traffic-manager takes a binding whose spec has changed for one that was not in force.
func TestOwnerBindingStays(t *testing.T) {
	const name = "traffic-manager-intercept-system-owner"
	var specs []admissionv1.ValidatingAdmissionPolicyBindingSpec
	for _, set := range [][]string{nil, {"namespaces={shop}"}, {"policy.forbidGlobalIntercepts.enabled=true", "clientRbac.allowEverybody=true", "image.tag=next"}} {
		manifest, err := render(t, "intercept-system", set...)
		if err != nil {
			t.Fatal(err)
		}
		specs = append(specs, find[admissionv1.ValidatingAdmissionPolicyBinding](t, manifest, "ValidatingAdmissionPolicyBinding", name).Spec)
	}
	want := admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}}
	for _, got := range specs {
		if !reflect.DeepEqual(got, want) {
			t.Errorf("the binding is %+v", got)
		}
	}
}
