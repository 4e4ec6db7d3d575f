package chart_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/json"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"
)

// faults are what the API server finds in an object of a definition's version: values
// that the schema does not allow, rules that do not hold, and fields that are unknown.
func faults(t *testing.T, definition []byte, version string, sent map[string]any) []string {
	t.Helper()
	text, err := json.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil { // whole numbers become int64
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(definition, &crd); err != nil {
		t.Fatal(err)
	}
	k := slices.IndexFunc(crd.Spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool { return v.Name == version })
	if k < 0 {
		t.Fatalf("%s has no version %s", crd.Name, version)
	}
	var schema apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(crd.Spec.Versions[k].Schema.OpenAPIV3Schema, &schema, nil); err != nil {
		t.Fatal(err)
	}
	validator, _, err := validation.NewSchemaValidator(&schema)
	if err != nil {
		t.Fatal(err)
	}
	structural, err := structuralschema.NewStructural(&schema)
	if err != nil {
		t.Fatal(err)
	}
	defaulting.Default(object, structural)
	all := validation.ValidateCustomResource(nil, object, validator)
	rules, _ := cel.NewValidator(structural, true, celconfig.PerCallLimit).Validate(t.Context(), nil, structural, object, nil, celconfig.RuntimeCELCostBudget)
	var found []string
	for _, err := range append(all, rules...) {
		found = append(found, err.Error())
	}
	for _, path := range pruning.PruneWithOptions(runtime.DeepCopyJSON(object), structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}) {
		found = append(found, "unknown field "+path)
	}
	return found
}

// gatewayAPI returns a definition as the Gateway API publishes it.
func gatewayAPI(t *testing.T, file string) []byte {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "config", "crd", "standard", file))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestHTTPRoute: the Gateway API's definition admits the HTTPRoute of previews, which leads
// every name below the domain to the Service of previews, whatever the path.
func TestHTTPRoute(t *testing.T) {
	manifest, err := render(t, "intercept-system", "preview.enabled=true", "preview.domain=p.example.com", "preview.gateway.parentRefs[0].name=web",
		"preview.gateway.parentRefs[0].namespace=edge", "preview.gateway.parentRefs[0].sectionName=https")
	if err != nil {
		t.Fatal(err)
	}
	definition := gatewayAPI(t, "gateway.networking.k8s.io_httproutes.yaml")
	object := *find[map[string]any](t, manifest, "HTTPRoute", "traffic-manager-preview")
	for _, fault := range faults(t, definition, "v1", object) {
		t.Error(fault)
	}
	route := find[gatewayv1.HTTPRoute](t, manifest, "HTTPRoute", "traffic-manager-preview")
	if got := route.Spec.Hostnames; !slices.Equal(got, []gatewayv1.Hostname{"*.p.example.com"}) {
		t.Errorf("hosts %v", got)
	}
	if p := route.Spec.ParentRefs[0]; p.Name != "web" || *p.Namespace != "edge" || *p.SectionName != "https" {
		t.Errorf("%+v", p)
	}
	if r := route.Spec.Rules; len(r) != 1 || len(r[0].Matches) != 0 || r[0].BackendRefs[0].Name != "traffic-manager-preview" || *r[0].BackendRefs[0].Port != 80 {
		t.Errorf("%+v", r)
	}

	// What it would not admit is found.
	object["spec"].(map[string]any)["hostnames"] = []any{"p.example.com."}
	object["spec"].(map[string]any)["hostname"] = "p.example.com"
	if found := faults(t, definition, "v1", object); len(found) != 2 {
		t.Errorf("%q", found)
	}
}

// TestInterceptDefinition: what the definition of Intercepts does not admit is refused
// before a policy or the controller sees it.
func TestInterceptDefinition(t *testing.T) {
	definition, err := os.ReadFile("files/crds/kubectl-intercept.dev_intercepts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for match, want := range map[string]string{
		"{method: GET}": "", "{method: M-SEARCH}": "", "{method: '.*'}": "spec.match.method", "{method: GET|PUT}": "spec.match.method",
		"{headers: [{name: x-user, regexp: 'lou.*'}]}": "", "{headers: [{name: x-user, regexp: 'a(b'}]}": "not a regular expression",
		"{headers: [{name: 'x user', regexp: a}]}": "a name is not one that a header can have",
		"{paths: [{prefix: /api}]}":                "", "{paths: [{prefix: /api, exact: /}]}": "spec.match.paths[0]", "{path: /}": "unknown field spec.match.path",
	} {
		var object map[string]any
		text := "{apiVersion: kubectl-intercept.dev/v1alpha1, kind: Intercept, metadata: {name: a, namespace: shop}, spec: {user: ada, session: s, mode: Personal, inject: auto, " +
			"workload: {apiVersion: apps/v1, kind: Deployment, name: quote}, ports: [{protocol: TCP, localHost: 127.0.0.1, localPort: 80}], match: " + match + "}}"
		if err := yaml.Unmarshal([]byte(text), &object); err != nil {
			t.Fatal(err)
		}
		found := strings.Join(faults(t, definition, "v1alpha1", object), "\n")
		if (want == "") != (found == "") || !strings.Contains(found, want) {
			t.Errorf("%s: %q, want %q", match, found, want)
		}
	}
}
