package mesh

import (
	"flag"
	"maps"
	"net/netip"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the goldens")

// golden compares v as YAML with a file of testdata.
func golden(t *testing.T, name string, v any) {
	t.Helper()
	got, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	path := "testdata/" + name + ".golden.yaml"
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("-update if that is right (-want +got):\n%s", d)
	}
}

var exits = Exits{Ports: []uint16{17843, 8081}, Ranges: []netip.Prefix{netip.MustParsePrefix("10.96.0.9/32")}}

// TestMergePodAnnotations holds the annotations of pods as the user wrote them
// and as they become. Merging again must change nothing.
func TestMergePodAnnotations(t *testing.T) {
	type meta = metav1.ObjectMeta
	type entry struct{ Before, After map[string]string }
	out := map[string]entry{}
	for _, tt := range []struct {
		name           string
		kind           Kind
		pod, namespace meta
	}{
		{"no mesh", None, meta{Annotations: map[string]string{"a": "b"}}, meta{}},
		{"linkerd, by the pod", None, meta{Annotations: map[string]string{"linkerd.io/inject": "enabled"}}, meta{}},
		{"linkerd, as ingress", None, meta{Annotations: map[string]string{"linkerd.io/inject": "ingress"}}, meta{}},
		{"linkerd, by the namespace", None, meta{}, meta{Annotations: map[string]string{"linkerd.io/inject": "enabled"}}},
		{"linkerd, by the chart", Linkerd, meta{}, meta{}},
		{"linkerd, refused", Linkerd, meta{Annotations: map[string]string{"linkerd.io/inject": "disabled"}}, meta{}},
		{"linkerd, refused in its namespace", None, meta{Annotations: map[string]string{"linkerd.io/inject": "disabled"}},
			meta{Annotations: map[string]string{"linkerd.io/inject": "enabled"}}},
		{"linkerd, the user's own", Linkerd, meta{Annotations: map[string]string{linkerdSkipPorts: "25, 3306"}}, meta{}},
		{"linkerd, the user's range", Linkerd, meta{Annotations: map[string]string{linkerdSkipPorts: "8000-8100"}}, meta{}},
		{"linkerd, all there", Linkerd, meta{Annotations: map[string]string{linkerdSkipPorts: "8081,17843"}}, meta{}},
		{"linkerd, nonsense stays", Linkerd, meta{Annotations: map[string]string{linkerdSkipPorts: "mysql,9-,"}}, meta{}},
		{"istio, by the label", None, meta{Labels: map[string]string{"sidecar.istio.io/inject": "true"}}, meta{}},
		{"istio, by the old annotation", None, meta{Annotations: map[string]string{"sidecar.istio.io/inject": "true"}}, meta{}},
		{"istio, by a revision", None, meta{Labels: map[string]string{"istio.io/rev": "canary"}}, meta{}},
		{"istio, by the namespace", None, meta{}, meta{Labels: map[string]string{"istio-injection": "enabled"}}},
		{"istio, by the chart", Istio, meta{}, meta{}},
		{"istio, refused", Istio, meta{Labels: map[string]string{"sidecar.istio.io/inject": "false"}}, meta{}},
		{"istio, refused in its namespace", None, meta{Labels: map[string]string{"sidecar.istio.io/inject": "false"}},
			meta{Labels: map[string]string{"istio-injection": "enabled"}}},
		{"istio, the user's own", Istio, meta{Annotations: map[string]string{istioSkipPorts: "3306", istioSkipRanges: "192.0.2.0/24"}}, meta{}},
		{"istio, the user's range", Istio, meta{Annotations: map[string]string{istioSkipPorts: "17843,8081", istioSkipRanges: "10.96.0.0/12"}}, meta{}},
		{"istio, everything", Istio, meta{Annotations: map[string]string{istioSkipRanges: "*"}}, meta{}},
		{"linkerd in a cluster with istio", Istio, meta{Annotations: map[string]string{"linkerd.io/inject": "enabled"}}, meta{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := maps.Clone(tt.pod.Annotations)
			got := MergePodAnnotations(tt.kind, &tt.pod, &tt.namespace, exits)
			if d := cmp.Diff(before, tt.pod.Annotations); d != "" {
				t.Errorf("the pod was changed:\n%s", d)
			}
			out[tt.name] = entry{before, got}
			tt.pod.Annotations = got
			if d := cmp.Diff(got, MergePodAnnotations(tt.kind, &tt.pod, &tt.namespace, exits)); d != "" {
				t.Errorf("not the same the second time:\n%s", d)
			}
		})
	}
	golden(t, "annotations", out)
}
