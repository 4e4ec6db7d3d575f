package chart_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/kubectl-intercept/kubectl-intercept/chart"
	"github.com/kubectl-intercept/kubectl-intercept/manager/config"
)

// foreign are kinds whose Go types are not at hand.
var foreign = []string{"CustomResourceDefinition", "ServiceMonitor"}

// TestManifestsAreValid reads every document as its Go type, so that no field is
// misspelled.
func TestManifestsAreValid(t *testing.T) {
	known := runtime.NewScheme()
	if err := errors.Join(scheme.AddToScheme(known), gatewayv1.Install(known)); err != nil {
		t.Fatal(err)
	}
	strict := serializer.NewCodecFactory(known, serializer.EnableStrict).UniversalDeserializer()
	for _, p := range profiles(t) {
		for _, text := range documents(t, p.render(t).Manifest) {
			if slices.ContainsFunc(foreign, func(kind string) bool { return bytes.Contains(text, []byte("\nkind: "+kind+"\n")) }) {
				continue
			}
			if _, _, err := strict.Decode(text, nil, nil); err != nil {
				t.Errorf("%s: %v in:\n%s", p.name, err, text)
			}
		}
	}
}

func documents(t *testing.T, manifest string) [][]byte {
	t.Helper()
	var all [][]byte
	for r := yaml.NewDocumentDecoder(io.NopCloser(strings.NewReader(manifest))); ; {
		buf := make([]byte, 1<<20)
		n, err := r.Read(buf)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(bytes.TrimSpace(buf[:n])) > 0 {
			all = append(all, buf[:n])
		}
	}
}

// find returns the object with a name, of the kind that T is.
func find[T any](t *testing.T, manifest, kind, name string) *T {
	t.Helper()
	for _, text := range documents(t, manifest) {
		var d document
		if err := yaml.Unmarshal(text, &d); err != nil {
			t.Fatal(err)
		}
		if d.Kind == kind && d.Name == name {
			var one T
			if err := yaml.Unmarshal(text, &one); err != nil {
				t.Fatal(err)
			}
			return &one
		}
	}
	t.Fatalf("no %s %s", kind, name)
	return nil
}

// TestConfig has the traffic-manager read what the chart writes. A chart without
// values says what the program would do without a chart.
func TestConfig(t *testing.T) {
	for _, p := range profiles(t) {
		cm := find[corev1.ConfigMap](t, p.render(t).Manifest, "ConfigMap", "traffic-manager-config")
		got, err := config.Parse([]byte(cm.Data["config.yaml"]))
		if err != nil {
			t.Errorf("%s: %v", p.name, err)
			continue
		}
		if p.name == "default" {
			if diff := cmp.Diff(config.Default(), got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("the chart's defaults are not the program's (-program +chart):\n%s", diff)
			}
		}
	}
}

// A new configuration makes new pods.
func TestConfigRestarts(t *testing.T) {
	seen := map[string]string{}
	for _, set := range []string{"agent.logLevel=debug", "intercept.environment.excluded={A}", "agentInjector.enabled=false"} {
		manifest, err := render(t, "intercept-system", set)
		if err != nil {
			t.Fatal(err)
		}
		d := find[appsv1.Deployment](t, manifest, "Deployment", "traffic-manager")
		sum := d.Spec.Template.Annotations["checksum/config"]
		if other, ok := seen[sum]; ok || len(sum) != 64 {
			t.Errorf("%s and %s give checksum %q", set, other, sum)
		}
		seen[sum] = set
	}
}

// TestTwoManagers renders two releases of one cluster: they have no object in
// common.
func TestTwoManagers(t *testing.T) {
	first, err := render(t, "intercept-system", "namespaces={shop}", "policy.forbidGlobalIntercepts.enabled=true")
	if err != nil {
		t.Fatal(err)
	}
	second, err := render(t, "team-b", "namespaces={shop,blog}", "crds.create=false", "policy.forbidGlobalIntercepts.enabled=true")
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string]bool{}
	for _, manifest := range []string{first, second} {
		for _, d := range decode[document](t, manifest) {
			id := fmt.Sprintf("%s %s", d.Kind, fullName(d))
			if objects[id] {
				t.Errorf("both releases have %s", id)
			}
			objects[id] = true
		}
	}
}

// TestWarnings: what Go says is what the notes say.
func TestWarnings(t *testing.T) {
	for _, p := range profiles(t) {
		want := []string{}
		for line := range strings.Lines(p.render(t).Info.Notes) {
			if text, ok := strings.CutPrefix(strings.TrimSpace(line), "Warning: "); ok {
				want = append(want, text)
			}
		}
		got, err := chart.Warnings(p.values(t))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: Warnings %q, notes %q", p.name, got, want)
		}
		if p.name == "other-spellings" && len(got) != 3 {
			t.Errorf("%s: %q", p.name, got)
		}
		if p.name == "default" && len(got) != 0 {
			t.Errorf("%s: %q", p.name, got)
		}
	}
}

// TestDeprecatedIsWarnedAbout goes through the schema.
func TestDeprecatedIsWarnedAbout(t *testing.T) {
	found := 0
	var visit func(path []string, p property)
	visit = func(path []string, p property) {
		if strings.HasPrefix(p.Description, "Deprecated: ") {
			found++
			var v any = "x"
			if len(p.Properties) > 0 {
				v = map[string]any{"x": "x"}
			}
			for _, key := range slices.Backward(path) {
				v = map[string]any{key: v}
			}
			if lines, err := chart.Warnings(v.(map[string]any)); err != nil || len(lines) != 1 {
				t.Errorf("%s: warnings %q, %v", strings.Join(path, "."), lines, err)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(p.Properties)) {
			visit(append(slices.Clone(path), key), p.Properties[key])
		}
	}
	visit(nil, schema(t))
	if found == 0 {
		t.Error("the schema has nothing deprecated: the test looks for the wrong word")
	}
}

// TestOtherSpellings: what they set is set.
func TestOtherSpellings(t *testing.T) {
	for _, tt := range []struct {
		set    []string
		secret string // of the volume
		made   bool   // by the chart
	}{
		{[]string{"license.key=a"}, "traffic-manager-license", true},
		{[]string{"license.key=a", "license.secret.name=b"}, "b", true},
		{[]string{"license.secret.name=b"}, "b", false},
		{[]string{"licenseKey.value=a"}, "traffic-manager-license", true},
		{[]string{"licenseKey.create=true", "licenseKey.value=a", "licenseKey.secret.name=b"}, "b", true},
		{[]string{"licenseKey.create=true", "licenseKey.secret.create=false", "licenseKey.secret.name=b"}, "b", false},
		{[]string{"licenseKey.create=false", "licenseKey.value=a"}, "", false},
		{[]string{"license.key=a", "licenseKey.value=old", "licenseKey.secret.create=false"}, "traffic-manager-license", true},
		{nil, "", false},
	} {
		manifest, err := render(t, "intercept-system", tt.set...)
		if err != nil {
			t.Fatal(err)
		}
		secret := ""
		for _, v := range find[appsv1.Deployment](t, manifest, "Deployment", "traffic-manager").Spec.Template.Spec.Volumes {
			if v.Secret != nil {
				secret = v.Secret.SecretName
			}
		}
		if secret != tt.secret || strings.Contains(manifest, "kind: Secret\n") != tt.made {
			t.Errorf("%q: Secret %q, made: %v; want %q, %v", tt.set, secret, !tt.made, tt.secret, tt.made)
		}
		if tt.made && string(find[corev1.Secret](t, manifest, "Secret", tt.secret).Data["license"]) != "a" {
			t.Errorf("%q: another license in the Secret", tt.set)
		}
	}
}

// The traffic-manager is told its memory limit, if it has one: without, the kubelet would tell
// it the node's memory.
func TestMemoryLimit(t *testing.T) {
	for _, tt := range []struct {
		set  []string
		want bool
	}{
		{nil, true},
		{[]string{"resources.limits.memory=1Gi"}, true},
		{[]string{"resources.limits.memory=null"}, false},
		{[]string{"resources.limits=null"}, false},
		{[]string{"resources=null"}, false},
	} {
		manifest, err := render(t, "intercept-system", tt.set...)
		if err != nil {
			t.Errorf("%v: %v", tt.set, err)
			continue
		}
		c := find[appsv1.Deployment](t, manifest, "Deployment", "traffic-manager").Spec.Template.Spec.Containers[0]
		told := slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool {
			return e.Name == "MEMORY_LIMIT" && e.ValueFrom.ResourceFieldRef.Resource == "limits.memory"
		})
		if _, limited := c.Resources.Limits[corev1.ResourceMemory]; limited != tt.want || told != tt.want {
			t.Errorf("%v: limited %v, told %v", tt.set, limited, told)
		}
	}
}
