package helm

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func TestPrint(t *testing.T) {
	r := &Release{Name: ReleaseName, Version: "0.1.0", Namespace: "team-a", Manifest: "---\nkind: Role\n",
		Values: map[string]any{"replicas": 2, "image": map[string]any{"tag": "x"}}}
	for _, tt := range []struct{ output, dryRun, want string }{
		{"", "none", "traffic-manager 0.1.0 installed in namespace team-a\n"},
		{"", "client", "traffic-manager 0.1.0 installed in namespace team-a (dry run)\n"},
		{"", "server", "traffic-manager 0.1.0 installed in namespace team-a (server dry run)\n"},
		{"yaml", "client", "---\nkind: Role\n"},
		{"values", "client", "image:\n  tag: x\nreplicas: 2\n"},
	} {
		var out strings.Builder
		a := &ApplyFlags{Output: tt.output, DryRun: tt.dryRun}
		if err := a.Print(&out, r, "installed"); err != nil || out.String() != tt.want {
			t.Errorf("-o %q --dry-run=%s: %v, %q, want %q", tt.output, tt.dryRun, err, &out, tt.want)
		}
	}
}

func TestNonDefault(t *testing.T) {
	const defaults = `{replicas: 1, image: {registry: r, tag: ""}, resources: {requests: {cpu: 50m}}, tolerations: [], labels: {}}`
	for set, want := range map[string]string{
		`{}`:                                     `{}`,
		`{replicas: 1, image: {tag: ""}}`:        `{}`,
		`{replicas: 2, image: {tag: v1}}`:        `{replicas: 2, image: {tag: v1}}`,
		`{image: {registry: r, tag: v1}}`:        `{image: {tag: v1}}`,
		`{resources: null}`:                      `{resources: null}`,
		`{tolerations: [{operator: Exists}]}`:    `{tolerations: [{operator: Exists}]}`,
		`{labels: {team: a}}`:                    `{labels: {team: a}}`,
		`{unknown: {a: 1}}`:                      `{unknown: {a: 1}}`,
		`{resources: {requests: {memory: 1Gi}}}`: `{resources: {requests: {memory: 1Gi}}}`,
	} {
		standard := tree(t, defaults)
		before := text(t, standard)
		// What Helm hands back has the defaults in it or not; that is no difference.
		for _, values := range []map[string]any{tree(t, set), overlay(tree(t, set), standard)} {
			if got := text(t, nonDefault(values, standard)); got != text(t, tree(t, want)) {
				t.Errorf("%s: %s, want %s", set, got, want)
			}
		}
		if text(t, standard) != before {
			t.Errorf("%s changed the defaults", set)
		}
	}
	// --set writes integers, files are read as floats.
	if got := nonDefault(map[string]any{"replicas": int64(1)}, tree(t, defaults)); len(got) > 0 {
		t.Errorf("--set replicas=1: %v", got)
	}
}

func tree(t *testing.T, s string) map[string]any {
	t.Helper()
	out := map[string]any{}
	if err := yaml.Unmarshal([]byte(s), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRender(t *testing.T) {
	first, err := Render(t.Context(), "team-a", options(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	second, err := Render(t.Context(), "team-a", options(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	if first.Manifest != second.Manifest || !strings.HasPrefix(first.Manifest, "---\n") {
		t.Error("two renders differ, or are not manifests")
	}
}
