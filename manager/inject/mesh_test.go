package inject

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// TestMesh holds the pods that the injector makes in Istio: numbers of TCP ports
// are left to a Sidecar object, which takes no privilege, and names and UDP are
// not.
func TestMesh(t *testing.T) {
	for name, tt := range map[string]struct{ from, level string }{
		"mesh":          {"numeric", "restricted"},
		"mesh-headless": {"headless", "restricted"},
		"mesh-names":    {"several", ""},
	} {
		t.Run(name, func(t *testing.T) {
			pod, services := parse(t, tt.from)
			q := Request{Services: services, Level: tt.level, Mesh: true}
			for _, c := range pod.Spec.Containers {
				for _, p := range c.Ports {
					q.Intercepted = append(q.Intercepted, v1alpha1.ResolvedPort{Service: services[0].Name,
						ContainerPort: p.ContainerPort, ContainerPortName: p.Name, Protocol: p.Protocol})
				}
			}
			if len(q.Intercepted) == 0 {
				q.Intercepted = []v1alpha1.ResolvedPort{{Service: services[0].Name, ContainerPort: services[0].Spec.Ports[0].TargetPort.IntVal}}
			}
			out, err := Sidecar(pod, q, config)
			if err != nil {
				t.Fatal(err)
			}
			got, err := yaml.Marshal(out)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", "sidecar", name+".golden.yaml")
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
			if d := cmp.Diff(ports(pod), ports(out)); d != "" {
				t.Errorf("the application's ports are not found again:\n%s", d)
			}
			for _, p := range sidecar.Of(out).Ports {
				if p.Mesh && sidecar.TakenOver(sidecar.Of(out), int32(p.Number)) {
					t.Errorf("port %s is led by the mesh and taken over", p)
				}
			}
		})
	}
}
